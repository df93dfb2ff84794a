"""Release, depart and departed in Lua, and a look at a record: see ``record``.

What differs from there is a fault: ``tests/register`` holds both against each other.
"""

from __future__ import annotations

from typing import Final

from .record_parts import ENTRIES, FIELDS, KEEPING, RECORD, WITHDRAWING
from .scripts import script

__all__ = ["LEAVING_SCRIPTS"]

_LEAVING = """
local function may_leave(e, worker, attempt)
  if not e or (e.leaver or '') == worker then return true end
  local leaving = e.leaving or 0
  return not (now < leaving and leaving <= now + attempt)
end
local function again(out, e)
  local n = #out
  out[n + 1], out[n + 2] = e.name, wanted[e.name] or 0
  out[n + 3], out[n + 4] = e.version or -1, e.state or ''
end
"""

# now, worker, life, linger or -1 for ever, doubt, attempt, not before; names
_RELEASE = """
local worker, life, linger = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local doubt, attempt = tonumber(ARGV[5]), tonumber(ARGV[6])
load()
local mine, place = holder(worker)
if mine and mine.life > life then return 0 end
local freed = {}
for i = 8, #ARGV do freed[i - 7] = ARGV[i] end
if mine then
  local places, held = {}, {}
  for i = 4, #mine, 2 do
    places[mine[i]] = i
    if #ARGV < 8 then freed[#freed + 1] = mine[i] end
  end
  for _, name in ipairs(freed) do
    if places[name] then held[#held + 1], places[name] = name, nil end
  end
  local left = {mine.worker, mine.till, mine.life}
  for i = 4, #mine, 2 do
    if places[mine[i]] then left[#left + 1], left[#left + 2] = mine[i], mine[i + 1] end
  end
  if #left > 3 then r.holders[place] = left else table.remove(r.holders, place) end
  if linger ~= 0 then freed = held end
end
count(worker)
local at = math.max(now + linger, tonumber(ARGV[7]))
local doubted = mine and at or math.max(at, now + doubt)
local leave, owed = {}, {}
for _, name in ipairs(freed) do
  local e = known[name]
  withdraw(e, worker)
  local ends = e and e.linger and math.max(at, e.linger) or doubted
  if wanted[name] then
    if e and linger >= 0 and at > now then e.linger = math.max(e.linger or 0, at) end
    if e and e.beat and is_behind(e) then again(owed, e) end
  elseif linger < 0 then
    known[name] = nil
  elseif ends > now then
    entry(name).linger = ends
  elseif may_leave(e, worker, attempt) then
    e = entry(name)
    e.linger, e.leaving, e.leaver = now, now + attempt, worker
    leave[#leave + 1] = name
  end
end
local due, names = -1, {}
for _, e in ipairs(r.names) do
  if known[e.name] then
    names[#names + 1] = e
    if e.linger and not wanted[e.name] then
      local at = math.max(e.linger, math.min(e.leaving or 0, now + attempt))
      if due < 0 or at < due then due = at end
    end
  end
end
r.names = names
if #owed > 0 and (due < 0 or now + attempt < due) then due = now + attempt end
keep_for(math.max(due - now, 0))
save()
return {due, holder(worker) and 1 or 0, leave, owed}
"""

# now, worker, attempt, "1" if it is the last worker
_DEPART = """
local worker, attempt, is_last = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
if not load() then return {-1, {}, {}} end
count(worker)
local first, leave, owed = -1, {}, {}
for _, e in ipairs(r.names) do
  local due
  if wanted[e.name] and e.beat and is_behind(e) then
    again(owed, e)
    due = now + attempt
  end
  if not e.linger then
  elseif wanted[e.name] then
    if e.linger <= now then e.linger = nil end
  elseif e.linger > now and not is_last then
    due = e.linger
  elseif not may_leave(e, '', attempt) then
    due = e.leaving
  else
    due = now + attempt
    e.leaving, e.leaver = due, worker
    leave[#leave + 1] = e.name
  end
  if due and (first < 0 or due < first) then first = due end
end
save()
return {first, leave, owed}
"""

# now; names
_DEPARTED = """
if not load() then return {-1} end
count('')
local left, groups = {}, false
for i = 2, #ARGV do
  left[ARGV[i]] = true
  groups = groups or string.byte(ARGV[i]) == 44
end
for _, e in ipairs(r.names) do groups = groups or string.byte(e.name) == 44 end
local out, names = {-1}, {}
for _, e in ipairs(r.names) do
  local is_wanted = wanted[e.name]
  if is_wanted and left[e.name] then e.leaving, e.linger, e.leaver = nil, nil, nil end
  if is_wanted and (groups or left[e.name]) then
    e.beat, e.claimed, e.claimer = nil, nil, nil
    again(out, e)
  end
  if is_wanted or not left[e.name] or not e.leaving then
    names[#names + 1] = e
    local due = not is_wanted and e.linger
    if due and (out[1] < 0 or due < out[1]) then out[1] = due end
  end
end
r.names = names
save()
return out
"""

# now
_LOOK = """
local had, holders, names = load(), {}, {}
for _, h in ipairs(had and r.holders or {}) do holders[#holders + 1] = h end
for _, e in ipairs(had and r.names or {}) do
  names[#names + 1] = {
    e.name, e.beat or 0, e.timeout or 0, e.beater or '', e.claimed or 0,
    e.claimer or '', e.linger or 0, e.leaving or 0, e.leaver or '', e.version or -1
  }
end
return {now, holders, names}
"""

LEAVING_SCRIPTS: Final = {
    "release": script(
        FIELDS, RECORD, ENTRIES, KEEPING, WITHDRAWING, _LEAVING, _RELEASE
    ),
    "depart": script(FIELDS, RECORD, _LEAVING, _DEPART),
    "departed": script(FIELDS, RECORD, _LEAVING, _DEPARTED),
    "look": script(FIELDS, RECORD, _LOOK),
}

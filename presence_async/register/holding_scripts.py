"""Hold, claim and beaten in Lua: the same as in ``record``, operation by operation.

What differs from there is a fault: ``tests/register`` holds both against each other.
"""

from __future__ import annotations

from typing import Final

from .record_parts import ENTRIES, FIELDS, KEEPING, RECORD, STANDING, WITHDRAWING
from .scripts import script

__all__ = ["HOLDING_SCRIPTS"]

# now, worker, life; for each wish: name, timeout, "" or "=" and the state, its age,
# whether the service was told.
_HOLD = """
local worker, life = ARGV[2], tonumber(ARGV[3])
load()
local mine, places = holder(worker), {}
if mine then
  for i = 4, #mine, 2 do places[mine[i]] = i end
end
local is_wanted = false
for i = 4, #ARGV, 5 do
  local name, timeout, said = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  if timeout > 0 then
    if not mine then
      mine = {worker, 0, life}
      r.holders[#r.holders + 1] = mine
    end
    mine.life, is_wanted = life, true
    local place = places[name] or #mine + 1
    places[name], mine[place], mine[place + 1] = place, name, timeout
    entry(name).linger = nil
  end
  local e = known[name]
  if e and said == '=' then
    withdraw(e, worker)
  elseif e and said ~= '' then
    local version, had = now - tonumber(ARGV[i + 3]), e.version or -1
    if e.author == worker or version == now then
      version = math.max(version, had + 1)
    end
    if version > had then
      e.version, e.author, e.state = version, worker, string.sub(said, 2)
      if ARGV[i + 4] == '1' then e.said = version end
    end
  end
end
if is_wanted then renew(mine) end
count(worker)
local out, is_calm = {}, true
for i = 4, #ARGV, 5 do
  local e = known[ARGV[i]]
  if e then
    stand(out, (i - 4) / 5, e, worker)
    is_calm = is_calm and not (e.beat or e.leaving or e.version or rest[e.name])
  else
    is_calm = false
  end
end
save()
return is_calm and 0 or out
"""

# now, worker, life, interval, attempt
_CLAIM = """
local worker, life = ARGV[2], tonumber(ARGV[3])
local interval, attempt = tonumber(ARGV[4]), tonumber(ARGV[5])
local mine = load() and holder(worker)
if not mine or mine.life ~= life then return -1 end
renew(mine)
count(worker)
local first, is_calm = nil, true
for i = 4, #mine, 2 do
  local e = entry(mine[i])
  local due, beat, claimed = now, e.beat or 0, e.claimed or 0
  if e.beater ~= worker and beat > 0 and beat <= now and not is_behind(e) then
    due = beat + math.min(interval, math.max((e.timeout or 0) * 500 - 1000, 500))
  end
  if now < claimed and claimed <= now + attempt and e.claimer ~= worker then
    due = math.max(due, claimed)
  end
  if not first or due < first then first = due end
  if rest[e.name] or e.version and e.author ~= worker then is_calm = false end
end
local is_due = not first or first <= now
if is_due then
  for i = 4, #mine, 2 do
    local e = known[mine[i]]
    e.claimed, e.claimer = now + attempt, worker
  end
end
save()
if is_due and is_calm then return 0 end
local out = {is_due and -1 or first - now}
for i = 4, #mine, 2 do stand(out, mine[i], known[mine[i]], worker) end
return out
"""

# now, worker, timeout, age, how many names; the names; their versions if any
_BEATEN = """
local worker, timeout, n = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local sent, behind = now - tonumber(ARGV[4]), {}
if not load() then return 0 end
count(worker)
for i = 6, 5 + n do
  local e, version = known[ARGV[i]], tonumber(ARGV[i + n] or -1)
  if e then
    local beat = e.beat or 0
    if e.claimer == worker then e.claimed, e.claimer = nil, nil end
    if sent >= beat or beat > now then
      e.beat, e.timeout, e.beater = sent, timeout, worker
      if version == -1 then e.said = nil else e.said = version end
    end
    if wanted[e.name] and is_behind(e) then behind[#behind + 1] = e.name end
  end
end
save()
return #behind > 0 and behind or 0
"""

_TURN = (RECORD, ENTRIES, KEEPING, STANDING)

HOLDING_SCRIPTS: Final = {
    "hold": script(FIELDS, *_TURN, WITHDRAWING, _HOLD),
    "claim": script(FIELDS, *_TURN, _CLAIM),
    "beaten": script(FIELDS, RECORD, _BEATEN),
}

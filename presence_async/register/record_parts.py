"""A record in Lua, and the rules that several scripts share: see ``record``.

A record is one string, packed by the server's own MessagePack, with an expiry.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ENTRIES", "FIELDS", "KEEPING", "RECORD", "STANDING", "WITHDRAWING"]

FIELDS: Final = {
    # A record.
    "expires": 1,
    "holders": 2,
    "names": 3,
    # A holder; behind it stand the names it wants, each with its timeout.
    "worker": 1,
    "till": 2,
    "life": 3,
    # What is known about one name.
    "name": 1,
    "beat": 2,
    "timeout": 3,
    "beater": 4,
    "claimed": 5,
    "claimer": 6,
    "linger": 7,
    "leaving": 8,
    "leaver": 9,
    "version": 10,
    "author": 11,
    "state": 12,
    "said": 13,
}

# ``known`` has the entries by name; ``wanted`` the shortest timeout for each name,
# ``rest`` the same but for one worker.
RECORD: Final = """
local r, known, wanted, rest = nil, {}, {}, {}
local function load()
  local packed = redis.call('GET', key)
  if packed then
    r = cmsgpack.unpack(packed)
    if r.expires > now then
      for _, e in ipairs(r.names) do known[e.name] = e end
      return true
    end
  end
  r = {0, {}, {}}
  return false
end
local function save()
  if #r.holders == 0 and #r.names == 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(r), 'PX', r.expires - now)
  end
end
local function holder(worker)
  for i, h in ipairs(r.holders) do
    if h.worker == worker then return h, i end
  end
end
local function count(worker)
  for _, h in ipairs(r.holders) do
    if h.till > now then
      local is_other = h.worker ~= worker
      for i = 4, #h, 2 do
        local name, timeout = h[i], h[i + 1]
        if not wanted[name] or timeout < wanted[name] then wanted[name] = timeout end
        if is_other and (not rest[name] or timeout < rest[name]) then
          rest[name] = timeout
        end
      end
    end
  end
end
local function is_behind(e)
  return (e.timeout or 0) ~= (wanted[e.name] or 0) or e.said ~= e.version
end
"""

ENTRIES: Final = """
local function entry(name)
  local e = known[name]
  if not e then
    e = {name}
    known[name], r.names[#r.names + 1] = e, e
  end
  return e
end
"""

KEEPING: Final = """
local function keep_for(span)
  r.expires = math.max(r.expires, now + span + 60000)
end
local function renew(mine)
  local longest = 0
  for i = 5, #mine, 2 do
    if mine[i] > longest then longest = mine[i] end
  end
  mine.till = now + 2000 * longest
  keep_for(4000 * longest)
end
"""

WITHDRAWING: Final = """
local function withdraw(e, worker)
  if not e or e.author ~= worker then return end
  e.version, e.author, e.state, e.said = nil, nil, nil, nil
  for _, h in ipairs(r.holders) do
    if h.worker ~= worker then h.life = 0 end
  end
end
"""

STANDING: Final = """
local function stand(out, label, e, worker)
  local n, beat = #out, e.beat or 0
  local is_told = beat > 0 and beat <= now
  out[n + 1] = label
  out[n + 2] = is_told and now - beat or -1
  out[n + 3] = is_told and e.timeout or 0
  out[n + 4] = rest[e.name] or 0
  out[n + 5] = math.max(0, (e.leaving or 0) - now)
  out[n + 6] = e.version or -1
  out[n + 7] = e.version and e.author ~= worker and e.state or ''
end
"""

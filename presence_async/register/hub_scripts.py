"""The rules of ``hub``, and the calendar of departures, said to a server in Lua.

The hub is one packed string, as a record is. Of the calendar, a sorted set, a time may
be too early, which costs a look in vain, but never too late: whoever puts a departure
off does so only if nobody has touched it since it was read.
"""

from __future__ import annotations

from typing import Final

from .scripts import script

__all__ = ["HUB_SCRIPTS"]

_FIELDS: Final = {
    "epoch": 1,
    "guard": 2,
    "mark": 3,
    "seats": 4,
    # A seat.
    "worker": 1,
    "till": 2,
    "life": 3,
    "label": 4,
    "closing": 5,
    "undertaker": 6,
}

# The mark changes when another server takes over, or the same begins anew: either may
# have lost what was written last. Not every server lets itself be asked.
_HUB = """
local packed = redis.call('GET', key)
local hub = packed and cmsgpack.unpack(packed)
local function save()
  redis.call('SET', key, cmsgpack.pack(hub), 'PX', 86400000)
end
local function ask(...)
  local said = redis.pcall(...)
  return type(said) == 'string' and said or ''
end
local function guard()
  return hub.guard <= now + 20000 and hub.guard or 0
end
local function notice(epoch)
  local about = ask('INFO', 'server')
  local mark = string.match(about, 'run_id:(%w+)')
  if mark and string.find(about, '_mode:cluster', 1, true) then
    local epochs = ask('CLUSTER', 'INFO')
    mark = mark .. (string.match(epochs, 'cluster_current_epoch:(%d+)') or '')
  end
  if not hub then hub = {epoch, 0, mark or '', {}} end
  if mark and hub.mark ~= mark then
    if hub.mark ~= '' then
      hub.epoch, hub.guard = epoch, now + 20000
    end
    hub.mark = mark
    return true
  end
end
"""

# now, worker, life, label, the epoch it knew, "1" if it is closing, another epoch
_ATTEND = """
local worker, life, had = ARGV[2], tonumber(ARGV[3]), ARGV[5]
notice(ARGV[7])
local function is_alive(seat)
  return now < seat.till and seat.till <= now + 15000
end
local place, workers, dead = #hub.seats + 1, 0, {}
for i, seat in ipairs(hub.seats) do
  if seat.worker == worker then place = i end
end
local seat = hub.seats[place]
local was_gone = life > 1
if seat then was_gone = seat.undertaker ~= '' or not is_alive(seat) end
if was_gone or had ~= '' and had ~= hub.epoch then
  hub.guard = now + 20000
end
local is_new = not seat or seat.undertaker ~= '' or seat.life ~= life
if is_new then
  seat = {worker, 0, life, ARGV[4], 0, ''}
  hub.seats[place] = seat
end
seat.till, seat.closing = now + 15000, tonumber(ARGV[6])
for _, other in ipairs(hub.seats) do
  if not is_alive(other) or other.undertaker == worker then
    other.till, other.undertaker = now + 5000, worker
    dead[#dead + 1], dead[#dead + 2] = other.worker, other.life
  end
  if other.undertaker == '' and other.closing == 0 then workers = workers + 1 end
end
save()
return {hub.epoch, is_new and 1 or 0, workers, guard(), now, dead}
"""

# now, another epoch
_GUARD = """
if hub and notice(ARGV[2]) then save() end
return hub and guard() or 0
"""

# now, undertaker, workers of whom nobody is held any more
_BURIED = """
if not hub then return 0 end
local gone, seats = {}, {}
for i = 3, #ARGV do gone[ARGV[i]] = true end
for _, seat in ipairs(hub.seats) do
  if not gone[seat.worker] or seat.undertaker ~= ARGV[2] then
    seats[#seats + 1] = seat
  end
end
hub.seats = seats
save()
return 0
"""

# now
_SEATS = """
return {now, hub and hub.seats or {}}
"""

# now, how many, "1" if their time need not have come
_DUE = """
local till = ARGV[3] == '1' and '+inf' or now
return redis.call(
  'ZRANGEBYSCORE', key, '-inf', till, 'WITHSCORES', 'LIMIT', 0, ARGV[2]
)
"""

# now; users
_DUES = """
local out = {}
for i = 2, #ARGV do out[i - 1] = redis.call('ZSCORE', key, ARGV[i]) or '' end
return out
"""

# now; for each user: user, time. One whose time does not come nearer is touched.
_ADVANCE = """
for i = 2, #ARGV, 2 do
  local had = tonumber(redis.call('ZSCORE', key, ARGV[i]) or nil)
  local at = tonumber(ARGV[i + 1])
  if had and had <= at then at = had - 1 end
  redis.call('ZADD', key, at, ARGV[i])
end
redis.call('PEXPIRE', key, 86400000)
return 0
"""

# now; for each user: user, the time that was read, the time from now on or -1
_PUT_OFF = """
for i = 2, #ARGV, 3 do
  if (redis.call('ZSCORE', key, ARGV[i]) or '') == ARGV[i + 1] then
    if ARGV[i + 2] == '-1' then
      redis.call('ZREM', key, ARGV[i])
    else
      redis.call('ZADD', key, ARGV[i + 2], ARGV[i])
    end
  end
end
return 0
"""

HUB_SCRIPTS: Final = {
    "attend": script(_FIELDS, _HUB, _ATTEND),
    "guard": script(_FIELDS, _HUB, _GUARD),
    "buried": script(_FIELDS, _HUB, _BURIED),
    "seats": script(_FIELDS, _HUB, _SEATS),
    "due": script(_FIELDS, _DUE),
    "dues": script(_FIELDS, _DUES),
    "advance": script(_FIELDS, _ADVANCE),
    "put_off": script(_FIELDS, _PUT_OFF),
}

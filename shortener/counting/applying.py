"""The script that counts: everything that a stretch of a journal adds to a bucket, in one step.

Most of its time goes into commands, half a microsecond each and as much again for each field: so
fields of a hash are read and written together, and what does not change is left out.
"""

from shortener.statistics.cells import VISITORS_SPARE, label_number
from shortener.statistics.visits import DIMENSIONS

# KEYS[1] the bucket's marks  KEYS[2] its index of links  KEYS[3] its ranks by clicks
# ARGV[1] journal  ARGV[2] the mark as the sender knows it  ARGV[3] the mark afterwards
# ARGV[4] MessagePack: a group for each subject, as `increments.py` builds them:
#   name, number, totals, time of the last click of a person, the key of a link's uses and the
#   clicks that took none when they were answered, days; a day is
#   hash, expiry, field, field of the month in the totals, visitors, how many, their expiry,
#   subject, quarters, hash of the month's labels, that of the day's, its expiry, the day's place,
#   labels, their fields in that of the day, their clicks; a quarter is
#   hash, expiry, field, people, bots, people who may be visitors, visitors.
# `number` 0 means a subject that is no link.  A link's group is left out when the link is gone or
# its name is another's: its place in the index ends with 20 bits of another number.  Answers the
# mark, and how many increments were refused.
APPLY = """
local call, try = redis.call, redis.pcall
local mark = call('HGET', KEYS[1], ARGV[1])
if not mark then return {'-1', 0} end
if mark ~= ARGV[2] then return {mark, 0} end
local groups, kind = cmsgpack.unpack(ARGV[4]), call('TYPE', KEYS[2]).ok
if #groups > 0 and kind ~= 'zset' and kind ~= 'none' then
  return redis.error_reply('the index is a ' .. kind)
end
call('HSET', KEYS[1], ARGV[1], ARGV[3])
local KEPT, OTHER = %(kept)s, %(other)s
local refused = 0

-- What a hash has in some fields, or nothing when it is no hash.
local function read(key, fields)
  if #fields == 0 then return {} end
  local found = try('HMGET', key, unpack(fields))
  if not found.err then return found end
end

-- Add to a field of a hash, which may be new.  What is no number is left alone.
local function bump(key, expires, field, by)
  local now = try('HINCRBY', key, field, by)
  if type(now) == 'table' then
    refused = refused + by
  elseif now == by and expires > 0 then
    call('EXPIREAT', key, expires)
  end
end

-- The same for several fields; `old` is what they have.  `more` is set along: fields and values.
local function add(key, expires, fields, by, old, more)
  if #fields == 1 and not old then return bump(key, expires, fields[1], by[1]) end
  old = old or read(key, fields)
  local sets, is_new = more or {}, true
  local n = #sets
  for i = 1, #fields do
    local had = old and (old[i] and tonumber(old[i]) or not old[i] and 0)
    if had then
      sets[n + 1], sets[n + 2], n = fields[i], had + by[i], n + 2
      is_new = is_new and not old[i]
    else
      refused = refused + by[i]
    end
  end
  if n == 0 then return end
  call('HSET', key, unpack(sets))
  if is_new and expires > 0 then call('EXPIREAT', key, expires) end
end

-- Clicks of people, of bots, and of people who made no visitor, in their three fields.
local function cell(key, expires, field, people, bots, repeats)
  if people > 0 then bump(key, expires, field, people) end
  if bots > 0 then bump(key, expires, field + 1, bots) end
  if repeats > 0 then bump(key, expires, field + 2, repeats) end
end

-- When what counts the visitors of a day goes: late enough for clicks that were held up.
local now
local function visitors_expire(day)
  now = now or call('TIME')[1]
  return math.max(day[7], now + %(spare)d)
end

-- How many of these people are visitors who were not counted yet; `counted` were, on that day, or
-- nobody was.  The estimate may leap by more than came: then those who come next make up for it.
local function grown(day, quarter, counted)
  local added = try('PFADD', day[5], unpack(quarter[7]))
  if type(added) == 'table' then return 0 end
  if not counted then
    call('EXPIREAT', day[5], visitors_expire(day))
    day.has_first = true
  end
  if added == 0 then return 0 end
  if not counted and #quarter[7] == 1 then return math.min(quarter[6], 1) end
  return math.max(0, math.min(quarter[6], call('PFCOUNT', day[5]) - (counted or 0)))
end

-- Remember that so many visitors more were counted on a day.
local expiring = {}  -- the hashes that know when to go
local function remember(day, visitors)
  if not day.has_first then
    if visitors > 0 then try('HINCRBY', day[6], day[8], visitors) end
  elseif type(try('HSET', day[6], day[8], visitors)) ~= 'table' and not expiring[day[6]] then
    call('EXPIREAT', day[6], visitors_expire(day))
    expiring[day[6]] = true
  end
end

-- What becomes of labels that the month has not seen: what it has of those that take part, their
-- names, their fields in the day, clicks, and what the month is to remember of their numbers.
-- A month that `is_new` need not be asked.
local function admit(month, is_new, place, old, names, fields, clicks)
  local asked, at, letters, n = {}, {}, {}, 0  -- `at`: where a letter or a number is asked for
  for i = 1, #names do
    if not old[i] then
      local letter, number = string.sub(names[i], 1, 1), (fields[i] - place) / 4
      letters[i] = letter
      if not at[letter] then
        asked[n + 1], asked[n + 2], at[letter], n = letter, '#' .. letter, n + 1, n + 2
      end
      if not at[number] then asked[n + 1], at[number], n = number, n + 1, n + 1 end
    end
  end
  local found, given, more, m = is_new and {} or read(month, asked), {}, {}, 0
  local known, there, days, counts, others, k = {}, {}, {}, {}, {}, 0
  for i = 1, #names do
    local letter, is_other = letters[i], false
    if letter then
      local number = (fields[i] - place) / 4
      local had = given[letter] or tonumber(found[at[letter] + 1] or 0)
      is_other = had >= KEPT[letter] or found[at[number]]
      if not is_other then
        given[letter], found[at[number]] = had + 1, true
        more[m + 1], more[m + 2], m = number, 1, m + 2
      end
    end
    if is_other then
      others[letter] = (others[letter] or 0) + clicks[i]
    else
      k = k + 1
      known[k], there[k], days[k], counts[k] = names[i], old[i], fields[i], clicks[i]
    end
  end
  for letter, number in pairs(given) do
    more[m + 1], more[m + 2], m = '#' .. letter, number, m + 2
  end
  for letter, number in pairs(others) do
    k = k + 1
    known[k], there[k] = letter, found[at[letter]]
    days[k], counts[k] = OTHER[letter] * 4 + place, number
  end
  return there, known, days, counts, more
end

-- Clicks by label, of the month and of the day.
local function label(month, stretch, expires, place, names, fields, clicks)
  local old, new, more = read(month, names), 0, nil
  for i = 1, old and #names or 0 do
    if not old[i] then new = new + 1 end
  end
  if new > 0 then
    local is_new = new == #names and call('EXISTS', month) == 0
    old, names, fields, clicks, more = admit(month, is_new, place, old, names, fields, clicks)
  end
  add(month, 0, names, clicks, old, more)
  if old then add(stretch, expires, fields, clicks) end
end

-- Count a day of a subject, but for its totals: `gains` gets those of the month, by field.
local function count(day, gains)
  local counted, visitors, people, bots, repeats = nil, 0, 0, 0, 0
  for _, quarter in ipairs(day[9]) do
    local new = 0
    if #quarter[7] > 0 then
      if counted == nil then
        counted = try('HGET', day[6], day[8])
        counted = type(counted) ~= 'table' and counted and tonumber(counted)
      end
      new = grown(day, quarter, counted)
      counted, visitors = (counted or 0) + new, visitors + new
    end
    local again = quarter[4] - new
    cell(quarter[1], quarter[2], quarter[3], quarter[4], quarter[5], again)
    people, bots, repeats = people + quarter[4], bots + quarter[5], repeats + again
  end
  remember(day, visitors)
  cell(day[1], day[2], day[3], people, bots, repeats)
  local month = day[4]
  gains[month] = (gains[month] or 0) + people
  gains[month + 1] = (gains[month + 1] or 0) + bots
  gains[month + 2] = (gains[month + 2] or 0) + repeats
  if #day[14] > 0 then label(day[10], day[11], day[12], day[13], day[14], day[15], day[16]) end
  return people, bots, repeats
end

for _, group in ipairs(groups) do
  local name, number, totals, at = group[1], group[2], group[3], group[4]
  local place = number ~= 0 and call('ZSCORE', KEYS[2], name)
  if number == 0 or place and tonumber(place) %% 1048576 == number %% 1048576 then
    local gains, people, bots, repeats = {}, 0, 0, 0
    for _, day in ipairs(group[7]) do
      local some, others, again = count(day, gains)
      people, bots, repeats = people + some, bots + others, repeats + again
    end
    gains.c, gains.b, gains.r = people, bots, repeats
    local fields, by, n = {}, {}, 0
    for field, gain in pairs(gains) do
      if gain > 0 then
        n = n + 1
        fields[n], by[n] = field, gain
      end
    end
    fields[n + 1] = 'at'
    local old = read(totals, fields)
    local last = old and tonumber(old[n + 1] or 0)
    if last and last < at then by[n + 1] = at - last else fields[n + 1] = nil end
    add(totals, 0, fields, by, old)
    if place and people > 0 then
      try('ZINCRBY', KEYS[3], people, string.format('%%016.0f', place) .. name)
    end
    if group[6] > 0 and call('EXISTS', group[5]) == 1 then try('INCRBY', group[5], group[6]) end
  end
end
return {ARGV[3], refused}
"""


def _table(values: dict[str, int]) -> str:
    """A table of Lua."""
    return "{" + ", ".join(f"{name} = {value}" for name, value in values.items()) + "}"


SCRIPT = APPLY % {
    "spare": VISITORS_SPARE.total_seconds(),
    "kept": _table({d.letter: d.kept for d in DIMENSIONS}),
    "other": _table({d.letter: label_number(d.letter.encode()) for d in DIMENSIONS}),
}

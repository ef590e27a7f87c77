-- Sums of one gateway: absolute values, and the record up to which they are.
-- KEYS[1] the hash; ARGV: the record that is believed to be there, the record of
-- these sums, the part (only, first, more, last), the push, and the fields.
local believed, high, part, push = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local found = redis.call('HMGET', KEYS[1], '_h', '_p')
local current = tonumber(found[1] or '0')
if current < believed or ((part == 'more' or part == 'last') and found[2] ~= push) then
	return {'rolled_back', string.format('%.0f', current)}
end
if current > high then
	return {'ahead', string.format('%.0f', current)}
end
if current == high and believed == high then
	return {'already', string.format('%.0f', current)}
end
local fields = {'_p', push}
if part == 'only' or part == 'last' then
	fields[3], fields[4] = '_h', ARGV[2]
end
for i = 5, #ARGV do
	fields[#fields + 1] = ARGV[i]
end
redis.call('HSET', KEYS[1], unpack(fields))
return {'applied', string.format('%.0f', high)}

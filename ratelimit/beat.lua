-- Which server this is, and whose grants are needed by others. Reads only.
-- KEYS[1] the hash of a shard. ARGV: holder, run, and period|organization of each.
local run = ARGV[2]
local ok, info = pcall(redis.call, 'INFO', 'server')
if ok and type(info) == 'string' then
	run = string.match(info, 'run_id:(%w+)') or run
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = redis.call('HMGET', KEYS[1], '_run', '_id')
local epoch = '' -- nobody has claimed since the server started
if last[1] == run and last[2] then
	epoch = run .. ':' .. last[2]
end
local reply = {epoch}
for i = 3, #ARGV do
	local needed = 0
	local found = redis.call('HGET', KEYS[1], 'n|' .. ARGV[i])
	if found then
		local at, needy = string.match(found, '^(%d+)|(.*)$')
		if needy ~= ARGV[1] and now - tonumber(at) < 3000000 then needed = 1 end
	end
	reply[#reply + 1] = needed
end
return reply

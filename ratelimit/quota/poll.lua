-- Which server this is, and whose grants are needed by others. Reads only.
-- KEYS[1] the hash of a shard. ARGV: holder, run, and period|organization of each.
local run = ARGV[2]
-- A server that was demoted and promoted again has lost something too: it has
-- another replication id then.
for _, part in ipairs({ { 'run_id', 'server' }, { 'master_replid', 'replication' } }) do
	local ok, info = pcall(redis.call, 'INFO', part[2])
	if ok and type(info) == 'string' then
		run = run .. (string.match(info, part[1] .. ':(%w+)') or '')
	end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = redis.call('HMGET', KEYS[1], '_run', '_id')
local epoch = '' -- nobody has claimed since the server started
if last[1] == run and last[2] then
	epoch = last[2] .. ':' .. run
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

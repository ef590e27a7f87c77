-- Stands in front of claim.lua, poll.lua and limits.lua: decodes the request, and tells
-- which server runs the script, and when.
-- KEYS[1] the hash of a shard, or that of all overrides. ARGV: names and values in turn. A window is
-- PERIOD|ORGANIZATION; there may be several.
local RECLAIM_FOR = 3000000 -- microseconds; reclaimFor in lease.go

local request, windows = {}, {}
for i = 1, #ARGV, 2 do
	if ARGV[i] == 'window' then
		windows[#windows + 1] = ARGV[i + 1]
	else
		request[ARGV[i]] = ARGV[i + 1]
	end
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) -- microseconds

-- A server that restarts has another run id. One that was demoted and promoted
-- again has lost grants too: it has another replication id. A user who may not run
-- INFO sees neither.
local server = ''
for _, part in ipairs({ { 'run_id', 'server' }, { 'master_replid', 'replication' } }) do
	local ok, info = pcall(redis.call, 'INFO', part[2])
	if ok and type(info) == 'string' then
		server = server .. (string.match(info, part[1] .. ':(%w+)') or '')
	end
end

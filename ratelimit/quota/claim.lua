-- A claim on the grants of one organization in one period; or, with an empty
-- organization, a holder that says that it has claimed all it has.
-- KEYS[1] the hash of a shard. ARGV: holder, organization, period, limit, number,
-- holds, wants, starves, holders, run, history, join, settled.
local key, holder, org = KEYS[1], ARGV[1], ARGV[2]
local limit, number, holds, wants = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local starves, holders, run = ARGV[8] == '1', tonumber(ARGV[9]), ARGV[10]
local history, join, settled = ARGV[11] == '1', ARGV[12], ARGV[13] or ''
local FRESH, MOST, NEEDED, GROWN = 2000000, 15000000, 3000000, 2000000 -- microseconds

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
-- A server that was demoted and promoted again has lost something too: it has
-- another replication id then.
for _, part in ipairs({ { 'run_id', 'server' }, { 'master_replid', 'replication' } }) do
	local ok, info = pcall(redis.call, 'INFO', part[2])
	if ok and type(info) == 'string' then
		run = run .. (string.match(info, part[1] .. ':(%w+)') or '')
	end
end
local p = ARGV[3] .. '|' .. org
local v = redis.call('HMGET', key, '_run', '_learn', '_hold', '_m', '_a', 'a|' .. holder,
	's|' .. p, 'g|' .. p .. '|' .. holder, 'l|' .. org, 'x|' .. p, 'n|' .. p, 'b|' .. holder, '_id')
local learn, hold = tonumber(v[2] or '0'), tonumber(v[3] or '0')
local members, asserted, mine = tonumber(v[4] or '0'), tonumber(v[5] or '0'), v[6] or ''
local id = tonumber(v[13] or '0') -- grows: who grants later has a higher one
local set = {}
local function put(field, value)
	set[#set + 1] = field
	if type(value) == 'number' then
		value = string.format('%.0f', value)
	end
	set[#set + 1] = value
end

-- A server that starts, or takes over, may have lost grants: none are made until
-- all holders have said what they have.
if v[1] ~= run then
	if not v[1] then
		hold = now + (history and MOST or FRESH) -- and who they are is not known
	else
		learn = now + MOST
	end
	asserted, id = 0, math.max(now, id + 1)
	put('_run', run) put('_hold', hold) put('_id', id)
end
local epoch = string.format('%.0f', id) .. ':' .. run
if settled ~= '' and settled ~= epoch then
	join = '' -- what it has was said to another server
end
local born = tonumber(v[12] or '0')
if join == 'join' and mine ~= run then
	if mine == '' then
		members, born = members + 1, now
		put('b|' .. holder, born)
	end
	asserted, mine = asserted + 1, run
	put('a|' .. holder, run)
elseif join == 'leave' and mine ~= '' then
	members = members - 1
	if mine == run then asserted = asserted - 1 end
	mine = ''
	put('a|' .. holder, '')
end
if learn > now and asserted >= members then
	learn = 0
end
put('_learn', learn) put('_m', members) put('_a', asserted)
-- A grant that is lost must not be lost together with the name of its holder: only
-- those who joined a while ago get any.
local grants = now >= learn and now >= hold and mine == run and now - born >= GROWN

local granted, total, since, needed = 0, 0, 0, 0
if org ~= '' then
	local last = 0
	if v[8] then
		local g, n = string.match(v[8], '^(%d+):(%d+)$')
		granted, last = tonumber(g), tonumber(n)
	end
	total, since = tonumber(v[7] or '0'), tonumber(v[10] or '0')
	limit = tonumber(v[9] or limit)
	local at, needy = 0, ''
	if v[11] then
		at, needy = string.match(v[11], '^(%d+)|(.*)$')
		at = tonumber(at)
	end
	if number > last then
		local before = granted
		granted = holds
		total = total + granted - before
		if wants > granted and grants then
			local left = limit - total
			local given = math.max(0, math.min(wants - granted, math.max(1, math.floor(left / (2 * math.max(1, holders)))), left))
			granted, total = granted + given, total + given
			if given > 0 and needy == holder then
				at, since = 0, 0
			elseif given == 0 and starves then
				at, needy = now, holder
				if since == 0 then since = now end
			end
			put('n|' .. p, string.format('%.0f', at) .. '|' .. needy)
		end
		if total < limit then since = 0 end
		put('g|' .. p .. '|' .. holder, string.format('%.0f:%.0f', granted, number))
		put('s|' .. p, total) put('x|' .. p, since)
	end
	if needy ~= holder and now - at < NEEDED then needed = 1 end
end
redis.call('HSET', key, unpack(set))
local learning = grants and 0 or 1
return {string.format('%.0f', granted), string.format('%.0f', total), string.format('%.0f', limit),
	string.format('%.0f', since), needed, epoch, learning}

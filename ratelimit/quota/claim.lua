-- A claim on the grants of one window, or, without a window, a holder that joins or
-- leaves the epoch of a shard.
-- The request (prelude.lua) of a claim:
--   holder        the instance of a ledger
--   organization  and window, which is PERIOD|ORGANIZATION
--   limit         of the period, as configured
--   number        orders the claims of a holder
--   holds, wants  units that the holder has, and would like to have, in all
--   starved       1: it has none left
--   holders       how many gateways there are
--   history       1: this process has seen the hash, so that an empty one has lost grants
-- The request of a holder that joins or leaves: holder, history, and
--   change        join or leave
--   settled       the epoch in which it claimed, '' if it holds nothing
-- The answer: units granted to the holder, units granted to all, the limit in force,
-- when a starved holder first got nothing (0: something is left), 1 if what is not
-- used is reclaimed, the epoch, 1 while the shard recovers.
-- Numbers are decimal texts, but for those that are 0 or 1.
local WAIT_NEW = 2000000 -- microseconds without grants in a hash that is new
local WAIT_HOLDERS = 15000000 -- at most, while holders have not joined
local WAIT_MEMBER = 2000000 -- of a holder, after it became a member

local holder, change, settled = request.holder, request.change or '', request.settled or ''
local organization, window = request.organization or '', windows[1] or '|'

local found = redis.call('HMGET', KEYS[1], '_run', '_id', '_learn', '_hold', '_m', '_a',
	'a|' .. holder, 'b|' .. holder, 'g|' .. window .. '|' .. holder,
	's|' .. window, 'x|' .. window, 'n|' .. window, 'l|' .. organization)
local stored = {
	server = found[1], -- of the epoch
	id = tonumber(found[2] or '0'), -- of the epoch: a server that grants later has a higher one
	recover_until = tonumber(found[3] or '0'),
	hold_until = tonumber(found[4] or '0'),
	members = tonumber(found[5] or '0'), -- holders that joined and have not left
	joined = tonumber(found[6] or '0'), -- those of them that joined this epoch
	server_of_holder = found[7] or '', -- the server whose epoch it joined; '' if it left
	first_joined = tonumber(found[8] or '0'), -- when the holder became a member
	grant = found[9], -- GRANTED:NUMBER of the holder
	total = tonumber(found[10] or '0'),
	exhausted_at = tonumber(found[11] or '0'),
	starved = found[12], -- WHEN|HOLDER that last got nothing
	override = found[13],
}

local set = {}
local function put(field, value)
	if type(value) == 'number' then
		value = string.format('%.0f', value)
	end
	set[#set + 1] = field
	set[#set + 1] = value
end

-- A server that starts, or takes over, may have lost grants: none are made until all
-- holders have said what they have.
local id, recover_until, hold_until = stored.id, stored.recover_until, stored.hold_until
local members, joined = stored.members, stored.joined
if stored.server ~= server then
	if stored.server then
		recover_until = now + WAIT_HOLDERS
	else
		hold_until = now + (request.history == '1' and WAIT_HOLDERS or WAIT_NEW) -- nobody knows the holders
	end
	joined, id = 0, math.max(now, id + 1)
	put('_run', server)
	put('_hold', hold_until)
	put('_id', id)
end
local epoch = string.format('%.0f', id) .. ':' .. server

if settled ~= '' and settled ~= epoch then
	change = '' -- the holder has told another server what it holds
end
local server_of_holder, first_joined = stored.server_of_holder, stored.first_joined
if change == 'join' and server_of_holder ~= server then
	if server_of_holder == '' then
		members, first_joined = members + 1, now
		put('b|' .. holder, first_joined)
	end
	joined, server_of_holder = joined + 1, server
	put('a|' .. holder, server)
elseif change == 'leave' and server_of_holder ~= '' then
	members = members - 1
	if server_of_holder == server then joined = joined - 1 end
	server_of_holder = ''
	put('a|' .. holder, '')
end
if recover_until > now and joined >= members then
	recover_until = 0
end
put('_learn', recover_until)
put('_m', members)
put('_a', joined)
-- A replica that takes over may lack the last writes. A grant that is lost must not be
-- lost together with the name of its holder: only members for a while get any.
local grants = now >= recover_until and now >= hold_until and server_of_holder == server
	and now - first_joined >= WAIT_MEMBER

local granted, total, limit, exhausted_at, reclaim = 0, 0, tonumber(request.limit or '0'), 0, 0
if organization ~= '' then
	local number, last = tonumber(request.number), 0
	if stored.grant then
		local before, at = string.match(stored.grant, '^(%d+):(%d+)$')
		granted, last = tonumber(before), tonumber(at)
	end
	total, exhausted_at = stored.total, stored.exhausted_at
	limit = tonumber(stored.override or limit)
	local starved_at, starved_holder = 0, ''
	if stored.starved then
		starved_at, starved_holder = string.match(stored.starved, '^(%d+)|(.*)$')
		starved_at = tonumber(starved_at)
	end
	if number > last then
		local holds, wants, holders = tonumber(request.holds), tonumber(request.wants), tonumber(request.holders)
		total = total + holds - granted
		granted = holds
		if wants > granted and grants then
			local left = limit - total
			local part = math.max(1, math.floor(left / (2 * math.max(1, holders))))
			local given = math.max(0, math.min(wants - granted, part, left))
			granted, total = granted + given, total + given
			if given > 0 and starved_holder == holder then
				starved_at, exhausted_at = 0, 0
			elseif given == 0 and request.starved == '1' then
				starved_at, starved_holder = now, holder
				if exhausted_at == 0 then exhausted_at = now end
			end
			put('n|' .. window, string.format('%.0f', starved_at) .. '|' .. starved_holder)
		end
		if total < limit then exhausted_at = 0 end
		put('g|' .. window .. '|' .. holder, string.format('%.0f:%.0f', granted, number))
		put('s|' .. window, total)
		put('x|' .. window, exhausted_at)
	end
	if starved_holder ~= holder and now - starved_at < RECLAIM_FOR then reclaim = 1 end
end
redis.call('HSET', KEYS[1], unpack(set))
return { string.format('%.0f', granted), string.format('%.0f', total), string.format('%.0f', limit),
	string.format('%.0f', exhausted_at), reclaim, epoch, grants and 0 or 1 }

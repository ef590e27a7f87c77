-- The secret that the fleet's hashes are keyed by: the one that is there, or else the caller's.
-- KEYS[1] the secret. ARGV: the caller's.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])

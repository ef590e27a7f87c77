// Package logs decides what the gateway's log lines show, and how often.
//
// Encoder is the log format "edge_functions", which masks secrets in every line
// of the process:
//
//	{
//		log {
//			format edge_functions
//		}
//	}
//
// Transitions writes one line for each change of a state, Repeats one line a
// second for calls that fail for the same cause. InvocationLog writes a line for
// each request, in the background, masked by itself; InvocationTurn says which
// configuration's log a request belongs to. UseForRedis and HideBackendBytes
// take in what libraries would print on their own: the Redis client's messages,
// and bytes of backends that net/http quotes. StoreCause describes errors of
// stores in words that are safe to log.
//
// Which states there are, and why a call failed, is decided by package gateway.
package logs

//! What Redis is asked. Each question is one script, so that nobody sees it half done.
//!
//! | key | value |
//! | --- | --- |
//! | `PREFIX:s:SESSION` | a sealed record; expires with the session |
//! | `PREFIX:p:PRINCIPAL` | a sorted set of the principal's sessions by expiry in milliseconds; expires with the last of them |
//! | `PREFIX:epoch` | a random value that goes when the data goes |
//!
//! Scripts are sent as they are and not by their digest: sessions are seldom written, and a server that was replaced knows
//! none. Time is the server's, since that is what expires keys. The keys lie in no common slot and some are made up by a script,
//! so Redis Cluster does not serve; one server with replicas does, and so does what speaks its protocol with scripts.
//!
//! Who uses an access list must allow `EVAL`, `INFO`, `GET`, `GETRANGE`, `TYPE`, `SET`, `DEL`, `EXISTS`, `PEXPIREAT`, `TIME`, and
//! `ZADD`, `ZREM`, `ZCARD`, `ZCOUNT`, `ZSCORE`, `ZRANGE`, `ZRANGEBYSCORE`, `ZREMRANGEBYSCORE`, `ZREMRANGEBYRANK` on `PREFIX:*`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Cmd;

use super::seal::SessionDigest;

/// Largest sealed record, in bytes. A session is one or two thousand, and at most some 64 KiB of what its client said of
/// itself; what is larger is not ours, and is not read.
pub(super) const RECORD_BYTES_MAX: usize = 128 << 10;

/// Sessions of a principal that are ended by one question, so that no question keeps others waiting for long.
const END_BATCH: usize = 100;

/// `KEYS` a session and the names of its principal, `ARGV` expiry, member, most sessions, record, prefix of sessions.
///
/// Nothing is written before the record: a server without room refuses the first write only, and would take it after another.
/// When too many are counted it is looked whether their records are still there; they may have been evicted or removed by hand.
const SAVE: &str = r"
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local member, most = ARGV[2], tonumber(ARGV[3])
local held, known = 0, false
for index = 2, #KEYS do
  held = held + redis.call('ZCOUNT', KEYS[index], '(' .. now, '+inf')
  known = known or redis.call('ZSCORE', KEYS[index], member)
end
if #KEYS > 1 and held >= most and not known then
  held = 0
  for index = 2, #KEYS do
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[index], '(' .. now, '+inf')) do
      if held < most then held = held + redis.call('EXISTS', ARGV[5] .. other) end
    end
  end
  if held >= most then return 0 end
end
redis.call('SET', KEYS[1], ARGV[4])
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
for index = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now)
  if index > 2 then redis.call('ZREM', KEYS[index], member) end
end
if #KEYS > 1 then
  redis.call('ZADD', KEYS[2], ARGV[1], member)
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last[2]))
end
return 1
";

/// `KEYS` a session, `ARGV` the last byte to read. Another type than text is no record, which an empty one is not either.
const LOAD: &str = r"
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return false end
if kind ~= 'string' then return '' end
return redis.call('GETRANGE', KEYS[1], 0, ARGV[1])
";

/// `KEYS` a session and the names of its principal, `ARGV` member.
const REMOVE: &str = r"
for index = 2, #KEYS do redis.call('ZREM', KEYS[index], ARGV[1]) end
return redis.call('DEL', KEYS[1])
";

/// `KEYS` the names of a principal, `ARGV` prefix of sessions, how many. Gives how many were ended, and how many are left.
const END_SOME: &str = r"
local ended, left = 0, 0
for index = 1, #KEYS do
  for _, member in ipairs(redis.call('ZRANGE', KEYS[index], 0, ARGV[2] - 1)) do
    ended = ended + redis.call('DEL', ARGV[1] .. member)
  end
  redis.call('ZREMRANGEBYRANK', KEYS[index], 0, ARGV[2] - 1)
  left = left + redis.call('ZCARD', KEYS[index])
end
return {ended, left}
";

/// `KEYS` the epoch, `ARGV` what it becomes if there is none, whether it is written anew. Gives what stands there.
const LOOK: &str = r"
local there = redis.call('GET', KEYS[1])
if not there or ARGV[2] == '1' then
  there = there or ARGV[1]
  redis.call('SET', KEYS[1], there)
end
return there
";

/// A sealed session on its way.
pub(super) struct Sealed {
    pub(super) session: SessionDigest,
    /// Names of its principal, that under which it is written first; none for a session of nobody.
    pub(super) principal: Vec<String>,
    pub(super) expires: SystemTime,
    pub(super) record: Vec<u8>,
}

/// Makes questions about keys that begin with one prefix.
pub(super) struct Scripts {
    prefix: String,
}

impl Scripts {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Answers 1 when it is written, 0 when its principal has `most` others.
    pub(super) fn save(&self, sealed: &Sealed, most: usize) -> Cmd {
        let mut save = self.of_session(SAVE, &sealed.session, &sealed.principal);
        save.arg(millis(sealed.expires)).arg(sealed.session.hex()).arg(most);
        save.arg(sealed.record.as_slice()).arg(self.sessions());
        save
    }

    /// Answers what stands there, cut one byte beyond the longest record.
    pub(super) fn load(&self, session: &SessionDigest) -> Cmd {
        let mut load = self.of_session(LOAD, session, &[]);
        load.arg(RECORD_BYTES_MAX);
        load
    }

    /// Answers how many were there.
    pub(super) fn remove(&self, session: &SessionDigest, principal: &[String]) -> Cmd {
        let mut remove = self.of_session(REMOVE, session, principal);
        remove.arg(session.hex());
        remove
    }

    /// Answers how many were ended, and how many are left.
    pub(super) fn end_some(&self, principal: &[String]) -> Cmd {
        let mut end = eval(END_SOME, principal.len());
        for name in principal {
            end.arg(self.principal(name));
        }
        end.arg(self.sessions()).arg(END_BATCH);
        end
    }

    /// Answers the epoch: `otherwise` if there was none. Written anew, it shows that there is room.
    pub(super) fn look(&self, otherwise: &[u8], anew: bool) -> Cmd {
        let mut look = eval(LOOK, 1);
        look.arg(format!("{}:epoch", self.prefix)).arg(otherwise).arg(u8::from(anew));
        look
    }

    fn of_session(&self, script: &str, session: &SessionDigest, principal: &[String]) -> Cmd {
        let mut question = eval(script, 1 + principal.len());
        question.arg(self.sessions() + &session.hex());
        for name in principal {
            question.arg(self.principal(name));
        }
        question
    }

    fn sessions(&self) -> String {
        format!("{}:s:", self.prefix)
    }

    fn principal(&self, name: &str) -> String {
        format!("{}:p:{name}", self.prefix)
    }
}

fn eval(script: &str, keys: usize) -> Cmd {
    let mut question = redis::cmd("EVAL");
    question.arg(script).arg(keys);
    question
}

/// Since 1970, rounded up, so that a record does not go before its session; within what a sorted set tells apart.
fn millis(time: SystemTime) -> u64 {
    const EXACT_MAX: u64 = 1 << 53;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(EXACT_MAX).min(EXACT_MAX)
}

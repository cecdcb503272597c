//! Tokens of several issuers, checked and remembered.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use crate::{
    algorithm::Algorithm,
    cache::{self, Cache, Entry, Standing},
    claims,
    explain::{Explanation, FirstRefusal, Ledger, Lines, Told},
    jwks::{Jwks, Refetched, Snapshot, Unavailable},
    key::{Key, KeySet},
    policy::{Policy, TOKEN_BYTES_MAX},
    refused::{Reason, Refused},
    token::Token,
    verified::Verified,
};

/// Most keys tried on one token that does not say which. Providers publish two or three; each try costs up to
/// 60 µs, which anyone can make us spend.
const KEYS_TRIED_MAX: usize = 8;

/// An issuer: what its tokens must say, and its keys.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// What its tokens must say.
    pub policy: Policy,
    /// Its keys. None: whoever is in front of us has checked the signature, and the algorithm.
    pub keys: Option<Arc<Jwks>>,
}

/// Checks tokens, and remembers those that were good.
///
/// A token is chosen by its `iss`, which must equal one issuer's exactly; then only that issuer's keys and policy
/// count. What `judge` makes of a good token is remembered with it.
pub struct Verifier<T> {
    issuers: Vec<Issuer>,
    /// The issuers' names, to be shared by what is verified.
    names: Vec<Arc<str>>,
    cache: Cache<Accepted<T>>,
    judge: Judge<T>,
}

type Judge<T> = Box<dyn Fn(&Verified, &Map<String, Value>) -> T + Send + Sync>;

/// A token that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<T> {
    /// What it says.
    pub verified: Verified,
    /// What the verifier's `judge` made of it.
    pub judgement: T,
}

/// A token after all checks.
struct Checked {
    verified: Verified,
    claims: Map<String, Value>,
    generation: Option<u64>,
}

/// A token that was refused.
struct Stop {
    refused: Refused,
    /// Keys that lack the token's; newer ones may have it.
    lacking: Option<Lacking>,
}

/// Index of an issuer, and the generation of its keys.
struct Lacking {
    issuer: usize,
    generation: u64,
}

impl<T> Verifier<T> {
    /// A verifier for these issuers, no two of which may have the same name, which remembers so many tokens.
    ///
    /// `judge` is asked once for each token that is verified, not again while it is remembered.
    pub fn new(
        issuers: Vec<Issuer>,
        cache_entries_max: usize,
        judge: impl Fn(&Verified, &Map<String, Value>) -> T + Send + Sync + 'static,
    ) -> Self {
        let names = issuers.iter().map(|issuer| Arc::from(issuer.policy.issuer.as_str())).collect();
        Self { issuers, names, cache: Cache::new(cache_entries_max), judge: Box::new(judge) }
    }

    /// The issuers, in the order of [`Verified::issuer_index`].
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// What is known about a token that was verified before and would be accepted again: it has not ended, and
    /// its issuer's keys are those that verified it. Allocates nothing.
    #[must_use]
    pub fn cached(&self, token: &str, now: SystemTime) -> Option<Arc<Accepted<T>>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        self.cache.get(&cache::digest(token), now, |issuer| self.standing(issuer))
    }

    /// How many tokens are known from before, those included that have ended and were not seen since, and how many can be.
    #[must_use]
    pub fn remembered(&self) -> (usize, usize) {
        self.cache.size()
    }

    /// Checks a token, unless it is known. If its issuer's keys lack the one that it names, they are fetched anew
    /// and it is checked once more; if they do not come, the keys count as unavailable for it.
    ///
    /// # Errors
    /// [`Refused`], for the log.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Accepted<T>>, Refused> {
        if let Some(known) = self.cached(token, now) {
            return Ok(known);
        }
        let stop = match self.check(token, now, &mut FirstRefusal) {
            Ok(checked) => return Ok(self.accept(token, checked)),
            Err(stop) => stop,
        };
        match self.newer_keys(stop.lacking).await {
            Refetched::Newer => {}
            Refetched::Unchanged => return Err(stop.refused),
            // Its key may be among those that did not come.
            Refetched::Failed(unavailable) => return Err(without_keys(unavailable)),
        }
        match self.check(token, now, &mut FirstRefusal) {
            Ok(checked) => Ok(self.accept(token, checked)),
            Err(stop) => Err(stop.refused),
        }
    }

    /// Makes the same checks with the keys that are at hand and tells what each found, those after the first
    /// refusal included. Remembers nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use jsonwebtoken_jwks::{refused::Reason, verifier::Verifier};
    /// let verifier = Verifier::new(vec![], 100, |_verified, _claims| ());
    /// let explanation = verifier.explain("not a token", SystemTime::now());
    /// assert_eq!(explanation.lines[0].found, "bytes: 11, parts: 1");
    /// assert_eq!(explanation.lines[0].refused, Some(Reason::NotThreeParts));
    /// ```
    #[must_use]
    pub fn explain(&self, token: &str, now: SystemTime) -> Explanation {
        let mut ledger = Lines::default();
        let outcome = self.check(token, now, &mut ledger);
        let Lines(lines, noted) = ledger;
        let refused = noted.or_else(|| outcome.as_ref().err().map(|stop| stop.refused));
        let accepted = outcome.ok().filter(|_| refused.is_none());
        Explanation { lines, refused, verified: accepted.map(|checked| checked.verified) }
    }

    async fn newer_keys(&self, lacking: Option<Lacking>) -> Refetched {
        let Some(Lacking { issuer, generation }) = lacking else { return Refetched::Unchanged };
        match self.issuers.get(issuer).and_then(|issuer| issuer.keys.as_ref()) {
            Some(keys) => keys.refetch(generation).await,
            None => Refetched::Unchanged,
        }
    }

    fn standing(&self, issuer: usize) -> Standing {
        match self.issuers.get(issuer).map(|issuer| issuer.keys.as_ref()) {
            Some(None) => Standing::NotNeeded,
            Some(Some(keys)) => {
                keys.usable_generation().map_or(Standing::Unavailable, Standing::Generation)
            }
            None => Standing::Unavailable,
        }
    }

    fn accept(&self, token: &str, checked: Checked) -> Arc<Accepted<T>> {
        let Checked { verified, claims, generation } = checked;
        let issuer = verified.issuer_index;
        let leeway = self.issuers.get(issuer).map_or(Duration::ZERO, |i| i.policy.leeway);
        // Where the sum is beyond the clock's range, the token ends without leeway.
        let until = verified.expires.map(|end| end.checked_add(leeway).unwrap_or(end));
        let judgement = (self.judge)(&verified, &claims);
        let value = Arc::new(Accepted { verified, judgement });
        let entry = Entry { value: Arc::clone(&value), issuer, generation, until };
        self.cache.insert(cache::digest(token), entry);
        value
    }

    fn check<L: Ledger>(
        &self,
        token: &str,
        now: SystemTime,
        ledger: &mut L,
    ) -> Result<Checked, Stop> {
        let token = Token::read(token, ledger)?;
        let (index, issuer) = self.issuer_of(&token, ledger)?;
        let generation = match &issuer.keys {
            None => None,
            Some(keys) => {
                let signed = Signed { token: &token, policy: &issuer.policy, issuer: index };
                signed.check(keys, ledger)?
            }
        };
        let said = claims::check(&token.claims, &issuer.policy, now, ledger)?;
        let verified = Verified {
            issuer_index: index,
            issuer: self.names.get(index).map_or_else(|| Arc::from(""), Arc::clone),
            subject: said.subject,
            client_id: said.client_id,
            scopes: said.scopes,
            groups: said.groups,
            expires: said.expires,
        };
        Ok(Checked { verified, claims: token.claims, generation })
    }

    fn issuer_of<L: Ledger>(
        &self,
        token: &Token<'_>,
        ledger: &mut L,
    ) -> Result<(usize, &Issuer), Refused> {
        let found = token.claims.get("iss");
        let told = || Told::value(found, self.names.join(" or "));
        match self.issuer_named(found) {
            Ok(issuer) => {
                ledger.take("iss", Ok(()), told)?;
                Ok(issuer)
            }
            Err(reason) => Err(ledger.stop("iss", claims::about("iss", reason), told)),
        }
    }

    /// The issuer whose name equals `iss`; without one, the only issuer, if it does not require one.
    fn issuer_named(&self, iss: Option<&Value>) -> Result<(usize, &Issuer), Reason> {
        match (iss, self.issuers.as_slice()) {
            (Some(Value::String(name)), issuers) => issuers
                .iter()
                .enumerate()
                .find(|(_, issuer)| issuer.policy.issuer == *name)
                .ok_or(Reason::UnknownIssuer),
            (Some(_), _) => Err(Reason::BadClaims),
            (None, [only]) if !only.policy.required.issuer => Ok((0, only)),
            (None, _) => Err(Reason::MissingClaim),
        }
    }
}

/// A token whose signature is to be checked with one issuer's keys.
struct Signed<'a> {
    token: &'a Token<'a>,
    policy: &'a Policy,
    issuer: usize,
}

impl Signed<'_> {
    /// Checks the signature; the result is the generation of the keys that it was checked with.
    fn check<L: Ledger>(&self, keys: &Jwks, ledger: &mut L) -> Result<Option<u64>, Stop> {
        let algorithm = ledger.take("algorithm", self.algorithm().map(Some), || {
            let allowed: Vec<_> = self.policy.algorithms.iter().map(|one| one.name()).collect();
            Told::new(self.token.header.alg.clone(), format!("one of {}", allowed.join(", ")))
        })?;
        let snapshot = ledger.take("keys", current(keys).map(Some), || {
            Told::new("the issuer's keys", "fetched, and not too old")
        })?;
        // Without either, a ledger that reads on has nothing more to learn here.
        let (Some(algorithm), Some(snapshot)) = (algorithm, snapshot) else { return Ok(None) };
        let outcome = self.fits(&snapshot.keys, algorithm);
        let lacking = match &outcome {
            Err(Misfit { newer_may_fit: true, .. }) => {
                Some(Lacking { issuer: self.issuer, generation: snapshot.generation })
            }
            Ok(()) | Err(_) => None,
        };
        let outcome = outcome.map_err(|misfit| misfit.reason.into());
        ledger
            .take("signature", outcome, || Told::new("not shown", told_keys(&snapshot.keys)))
            .map_err(|refused| Stop { refused, lacking })?;
        Ok(Some(snapshot.generation))
    }

    fn algorithm(&self) -> Result<Algorithm, Refused> {
        let allowed = |algorithm: &Algorithm| self.policy.algorithms.contains(algorithm);
        let algorithm = self.token.header.algorithm.filter(allowed);
        algorithm.ok_or_else(|| Reason::AlgorithmNotAllowed.into())
    }

    /// The key of that `kid` counts alone. A key without a name is tried for every token whose `kid` no key has; a
    /// token without one is tried with every key.
    fn fits(&self, keys: &KeySet, algorithm: Algorithm) -> Result<(), Misfit> {
        let kid = self.token.header.kid.as_deref();
        let named = |key: &&Key| kid.is_some() && key.kid() == kid;
        if let Some(key) = keys.keys().iter().find(named) {
            return match (key.allows(algorithm), self.verified_by(key, algorithm)) {
                (true, true) => Ok(()),
                (true, false) => Err(Misfit::of(Reason::BadSignature, false)),
                (false, _) => Err(Misfit::of(Reason::AlgorithmNotAllowed, false)),
            };
        }
        let possible = |key: &&Key| key.allows(algorithm) && (kid.is_none() || key.kid().is_none());
        let mut possible = keys.keys().iter().filter(possible).take(KEYS_TRIED_MAX).peekable();
        let none = possible.peek().is_none();
        if possible.any(|key| self.verified_by(key, algorithm)) {
            return Ok(());
        }
        let unknown = none || kid.is_some();
        Err(Misfit::of(if unknown { Reason::UnknownKey } else { Reason::BadSignature }, true))
    }

    fn verified_by(&self, key: &Key, algorithm: Algorithm) -> bool {
        key.verifies(algorithm, self.token.signed, self.token.signature)
    }
}

/// Why no key fits.
struct Misfit {
    reason: Reason,
    /// Whether newer keys may.
    newer_may_fit: bool,
}

impl Misfit {
    const fn of(reason: Reason, newer_may_fit: bool) -> Self {
        Self { reason, newer_may_fit }
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self { refused, lacking: None }
    }
}

impl<T> fmt::Debug for Verifier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuers", &self.names)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

fn current(keys: &Jwks) -> Result<Arc<Snapshot>, Refused> {
    keys.current().map_err(without_keys)
}

fn without_keys(unavailable: Unavailable) -> Refused {
    let retry_after = Some(unavailable.retry_after);
    Refused { retry_after, ..Reason::KeysUnavailable.into() }
}

fn told_keys(keys: &KeySet) -> String {
    let told = |key: &Key| match key.kid() {
        Some(kid) => format!("{} {kid}", key.kind()),
        None => format!("{} without kid", key.kind()),
    };
    let keys: Vec<_> = keys.keys().iter().map(told).collect();
    if keys.is_empty() {
        return "made by one of the issuer's keys, of which there are none now".to_owned();
    }
    format!("made by one of the issuer's keys: {}", keys.join(", "))
}

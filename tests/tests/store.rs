//! The store of sessions against a real Redis: what is kept, what shows, and what happens when it breaks.

#[cfg(test)]
mod store {
    mod outages;
    mod parts;
    mod secrecy;
    mod sessions;
}

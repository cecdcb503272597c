//! Which CPU does what, and how many files may be open.
//!
//! The server has a CPU to itself and the generator the rest, where there are two: then no thread of one
//! takes the other's place, and every contender has the same one.

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::failure::Failure;

/// The CPUs that this process may use.
///
/// # Errors
/// [`Failure`] when the system does not say.
pub fn allowed() -> Result<Vec<usize>, Failure> {
    let set = sched_getaffinity(None)
        .map_err(|errno| Failure::system("learn which CPUs there are")(errno.into()))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Keeps this thread, and those that it will start, on `cpus`.
///
/// # Errors
/// [`Failure`] when the system does not allow it.
pub fn stay_on(cpus: &[usize]) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).map_err(|errno| Failure::system("stay on a CPU")(errno.into()))
}

/// Raises the number of open files as far as it goes without asking root: a stream is one.
///
/// # Errors
/// [`Failure`] when the system does not allow it.
pub fn allow_many_files() -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|errno| Failure::system("open more files")(errno.into()))
}

//! How a bench begins: the numbers behind its name, and the lab.

use std::error::Error;
use std::process::ExitCode;

use portcullis::lab;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The words behind the bench's name; cargo puts one of its own among them.
pub(crate) fn words() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|word| word != "--bench")
}

/// The numbers behind the bench's name, each at least one; where there are fewer, the `usual` ones.
/// A million may be written 1_000_000.
pub(crate) fn numbers<const COUNT: usize>(usual: [u64; COUNT]) -> Outcome<[u64; COUNT]> {
    let mut numbers = usual;
    for (number, word) in numbers.iter_mut().zip(words()) {
        let read = word.replace('_', "").parse::<u64>();
        *number = read.map_err(|error| format!("`{word}` is not a number: {error}"))?.max(1);
    }
    Ok(numbers)
}

/// Runs a bench in a network of its own; the program starts anew for that.
pub(crate) fn in_the_lab(bench: impl FnOnce() -> Outcome<()>) -> ExitCode {
    let outcome = if lab::is_inside() { bench() } else { Err(lab::enter().into()) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

//! What the tests stand on: the way into the namespaces, the hosts, the daemon under test.

mod dns;
mod enter;
mod gate;
mod kernel;
mod ledger;
mod programs;
mod terminal;
mod world;

pub(crate) use dns::{Dns, put};
pub(crate) use enter::inside;
pub(crate) use gate::{Gate, PORTCULLIS};
pub(crate) use kernel::{
    break_nft, counters, cover_nft, eventually, mend_nft, nft, nft_json, nft_load, text,
};
pub(crate) use ledger::{Recorded, standings, write_ledger};
pub(crate) use programs::{are_there, inside_with, is_there, skip};
pub(crate) use terminal::Terminal;
pub(crate) use world::{
    ANNA, BEN, CARLA, CARLAS_PHONE, DORA, HASTE, MALLORY, MALLORY6, PATIENCE, TRUDY, World, address,
};

/// A test that runs inside fresh namespaces: `in_lab! { fn name() { … } }`.
macro_rules! in_lab {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)*) => {$(
        #[test]
        $(#[$meta])*
        fn $name() {
            $crate::stage::inside(concat!(module_path!(), "::", stringify!($name)), || $body);
        }
    )*};
}
pub(crate) use in_lab;

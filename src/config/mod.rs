//! Text → checked [`Config`]. Every mistake of every file is reported at once, with its line and
//! column; a `Config` that exists is valid, and `Config::default()` is the empty policy file.

mod settings;

pub use settings::{
    Bans, Config, Control, Events, Facility, FailMode, Guard, LogTarget, Mode, Queue, Redirect,
    SyslogFormat, Table,
};

//! The kernel's side: installs the program, keeps its sets in step with the ledger.

use std::sync::Arc;

use ipnet::IpNet;

use super::additions::additions;
use super::child::{OwnTools, ToolError};
use super::dump::{self, Listed};
use super::generation::Generations;
use super::names::{COUNTERS, FAMILIES, PROVEN, STOPPED, STOPPED_AT};
use super::nft::Nft;
use super::placed::{ByIptables, Knowledge};
use super::redirect::{self, Iptables, RedirectError, Rule};
use super::ruleset::{Path, Ruleset, Stage, ruleset};
use super::sets::{self, KernelSet};
use super::transaction::{self, BATCH, Elem, Present};
use crate::config::{Config, FailMode, Redirect};
use crate::policy::{Allowlist, PortSet};

/// The table, the redirect and the tools that change them.
#[derive(Debug)]
pub(super) struct Kernel {
    nft: Nft,
    own: OwnTools,
    config: Arc<Config>,
    stage: Stage,
    generations: Generations,
    /// What need not be told to the kernel again, nor asked.
    known: Knowledge,
    /// For which settings the present path was chosen.
    chosen_for: Option<(Redirect, u16)>,
    /// Looked for when iptables is first needed, so that nft alone suffices where it does; and which
    /// variants they are, in their own words.
    iptables: Option<(Iptables, Vec<String>)>,
    /// The gate stands aside: nothing is put into the kernel, whatever is asked for.
    aside: bool,
}

impl Kernel {
    pub(super) fn new(config: Arc<Config>, own: OwnTools) -> Result<Self, ToolError> {
        let nft = Nft::find(own.clone())?;
        Ok(Self {
            nft,
            own,
            config,
            stage: Stage::Closed,
            generations: Generations::open(),
            known: Knowledge::default(),
            chosen_for: None,
            iptables: None,
            aside: false,
        })
    }

    pub(super) fn path(&self) -> Option<Path> {
        match self.stage {
            Stage::Open(path) => Some(path),
            Stage::Closed => None,
        }
    }

    /// Does the gate stand aside?
    pub(super) fn is_aside(&self) -> bool {
        self.aside
    }

    /// Takes everything of ours out of the kernel, and puts nothing in from now on. What should be
    /// there is remembered and followed, so that it can be put back.
    pub(super) fn step_aside(&mut self) -> Result<(), RedirectError> {
        self.aside = true;
        self.known.forget();
        self.nft.apply(&transaction::remove()).map_err(RedirectError::Table)?;
        self.drop_iptables_rules();
        Ok(())
    }

    /// From now on things are put into the kernel again.
    pub(super) fn step_back(&mut self) {
        self.aside = false;
    }

    /// Must iptables' rules be looked at now and then, because nobody tells of their changes?
    pub(super) fn must_poll_iptables(&self) -> bool {
        self.is_legacy() && self.path() == Some(Path::Iptables)
    }

    /// Is any of the tools that were found the legacy variant, of whose rules nftables knows nothing?
    /// The two are chosen apart (update-alternatives(1)), and before 1.8 there was no other.
    fn is_legacy(&self) -> bool {
        let counts = |variant: &String| variant.contains("nf_tables");
        self.iptables.as_ref().is_some_and(|(_, variants)| !variants.iter().all(counts))
    }

    /// Somebody else has changed something, or may have: from now on nothing is known.
    pub(super) fn forget(&mut self) {
        self.known.forget();
    }

    /// Another policy; returns the one before. Ports that listen now are known to the daemon only;
    /// if the new policy does not hold them yet, those of the old one stay.
    pub(super) fn configure(&mut self, config: Arc<Config>) -> Arc<Config> {
        let before = std::mem::replace(&mut self.config, config);
        if self.config.policy.ports.listening && self.config.policy.ports.served.is_empty() {
            self.set_served(&before.policy.ports.served);
        }
        before
    }

    /// Remembers which ports are served, for the next installation.
    pub(super) fn set_served(&mut self, ports: &PortSet) {
        let config = Arc::make_mut(&mut self.config);
        config.policy.ports.served = ports.clone();
        config.policy.ports.closing = PortSet::default();
    }

    /// Remembers who is trusted, for the next installation.
    pub(super) fn set_trusted(&mut self, allowed: Arc<Allowlist>) {
        Arc::make_mut(&mut self.config).policy.allowlist = allowed;
    }

    /// The first installation, which adopts what an earlier run left. After a crash under
    /// `when_down = "drop"` the gate stays closed to everybody meanwhile, as it was.
    pub(super) fn adopt(&mut self, renewed: Option<&[Elem]>) -> Result<(), RedirectError> {
        if self.aside {
            return Ok(());
        }
        let present = Present::read(&self.nft.table().map_err(RedirectError::Table)?);
        if present.has_gate() && self.config.guard.when_down == FailMode::Drop {
            self.stage = Stage::Open(self.choose()?);
        }
        self.install_stage(renewed).map_err(RedirectError::Table).map(drop)
    }

    /// Installs the table for the present stage and config, in one transaction. Returns whether the
    /// sets of standings have been lost over it, and are empty.
    pub(super) fn install(&mut self) -> Result<bool, RedirectError> {
        self.install_stage(None).map_err(RedirectError::Table)
    }

    /// The same, and whatever the sets of standings hold, they hold these from now on.
    pub(super) fn renew(&mut self, first: &[Elem]) -> Result<(), ToolError> {
        self.install_stage(Some(first)).map(drop)
    }

    fn install_stage(&mut self, renewed: Option<&[Elem]>) -> Result<bool, ToolError> {
        if self.aside {
            return Ok(false);
        }
        let program = ruleset(&self.config, self.stage);
        // Before anything is looked at: what others change from now on is noticed.
        let before = self.generations.now();
        let known = self.known.of(before);
        if renewed.is_none() && known == Some(&program) {
            return Ok(false);
        }
        let (mut present, guessed) = match known {
            Some(known) => (Present::of(known), true),
            None => (Present::read(&self.nft.table()?), false),
        };
        let proven = self.proven(&program, &present);
        let mut done = self.nft.apply(&transaction::install(&program, &present, renewed));
        if guessed && matches!(done, Err(ToolError::Refused { .. })) {
            present = Present::read(&self.nft.table()?);
            done = self.nft.apply(&transaction::install(&program, &present, renewed));
        }
        let mut lost = renewed.is_none() && present.loses_standings(&program);
        match done {
            // What is there does not fit, whatever it is.
            Err(ToolError::Refused { .. }) => {
                lost = renewed.is_none();
                self.nft.apply(&transaction::reinstall(&program, renewed.unwrap_or_default()))
            }
            other => other,
        }?;
        self.known.installed(program, before, self.generations.now());
        // If it fails, they prove themselves again with their next connections.
        let _ = self.change(&proven);
        Ok(lost)
    }

    /// Transactions of ours that change nothing but elements of sets.
    fn put(
        &mut self,
        count: usize,
        work: impl FnOnce(&Nft) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        let before = self.generations.now();
        let done = work(&self.nft);
        let most = u32::try_from(count).unwrap_or(u32::MAX);
        self.known.follow(most, before, self.generations.now());
        if done.is_err() {
            // It may be because of what somebody else has changed.
            self.known.forget();
        }
        done
    }

    /// The proven sources, where their set is about to be replaced by one that is declared
    /// otherwise: the ledger does not know them, only the kernel does.
    fn proven(&self, program: &Ruleset, present: &Present) -> Vec<Elem> {
        let mut proven = Vec::new();
        for family in FAMILIES {
            let name = family.set(PROVEN);
            let set = program.sets.iter().find(|set| set.name == name);
            let Some(set) = set.filter(|set| present.replaces(set)) else { continue };
            let mut listed = dump::elements(&name).elements;
            listed.sort_by_key(|element| std::cmp::Reverse(element.left));
            listed.truncate(set.size.map_or(usize::MAX, |size| size as usize));
            let longest = set.timeout.unwrap_or(u32::MAX);
            proven.extend(listed.into_iter().map(|element| {
                let left = u32::try_from(element.left).unwrap_or(u32::MAX);
                let lasts = Some(left.clamp(1, longest));
                Elem { stem: PROVEN, whom: element.whom, lasts, fresh: true }
            }));
        }
        proven
    }

    /// Are the table's rules and sets there? Elements are not looked at.
    pub(super) fn is_whole(&self) -> Result<bool, ToolError> {
        if self.aside {
            return Ok(true);
        }
        let present = Present::read(&self.nft.table()?);
        Ok(present.covers(&ruleset(&self.config, self.stage)))
    }

    /// Hands SYNs to the queue from now on, by the way that the config asks for. Returns besides
    /// whether the sets of standings have been lost over it.
    ///
    /// What stands already, by all that the kernel counts, is left as it is, and no program is run
    /// for it.
    pub(super) fn open(&mut self) -> Result<(Path, String, bool), RedirectError> {
        let path = self.choose()?;
        let before = std::mem::replace(&mut self.stage, Stage::Open(path));
        let done = self.install().and_then(|lost| Ok((path, self.put_redirect(path)?, lost)));
        if done.is_err() {
            self.stage = before;
            self.chosen_for = None;
            let _ = self.install();
        }
        done
    }

    /// The way that is in use, if nothing has changed since it was chosen; otherwise the kernel is
    /// asked which it takes.
    fn choose(&mut self) -> Result<Path, RedirectError> {
        let asked_for = (self.config.guard.redirect, self.config.queue.threads);
        if let Some(path) = self.path()
            && self.chosen_for == Some(asked_for)
            && self.known.of(self.generations.now()).is_some()
        {
            return Ok(path);
        }
        let (path, surely) = redirect::choose(&self.config, &self.nft)?;
        self.chosen_for = surely.then_some(asked_for);
        Ok(path)
    }

    fn put_redirect(&mut self, path: Path) -> Result<String, RedirectError> {
        let by_nft = match path {
            Path::Iptables => {
                self.place_iptables_rules()?;
                let variants = self.iptables.as_ref().map(|(_, variants)| variants.as_slice());
                let variant = variants.and_then(<[String]>::first).map(String::as_str);
                return Ok(format!("by {}", variant.unwrap_or_default()));
            }
            Path::Manual => "by rules that the admin places (portcullis rules prints them)",
            Path::Nft(_) => "by nft's queue statement",
        };
        self.drop_iptables_rules();
        Ok(by_nft.into())
    }

    /// The tools, and which variant they are. They may have been upgraded, or changed for the others,
    /// since they were found.
    fn iptables(&mut self) -> Result<Iptables, RedirectError> {
        if let Some((iptables, _)) = &self.iptables
            && iptables.are_as_found()
        {
            return Ok(iptables.clone());
        }
        let iptables = Iptables::find(&self.own, &self.config.bans.state_dir)
            .map_err(RedirectError::of_iptables)?;
        self.iptables = Some((iptables.clone(), iptables.versions()));
        Ok(iptables)
    }

    /// Both have the rule that the config asks for, and no older one. Returns whether anything had
    /// to be done for it.
    fn place_iptables_rules(&mut self) -> Result<bool, RedirectError> {
        if self.aside {
            return self.iptables().map(|_| false);
        }
        let rule = Rule::of(&self.config);
        let before = self.generations.now();
        if self.known.by_iptables(before) == ByIptables::Rule(rule) {
            return Ok(false);
        }
        let done = self.iptables()?.install(rule).map_err(RedirectError::of_iptables)?;
        self.noted(ByIptables::Rule(rule), done, before);
        Ok(done > 0)
    }

    /// Takes rules out that a run with another redirect left. Where iptables is missing or broken
    /// there are none.
    fn drop_iptables_rules(&mut self) {
        let before = self.generations.now();
        if self.known.by_iptables(before) == ByIptables::Nothing {
            return;
        }
        match self.iptables().map(|iptables| iptables.remove()) {
            Ok(Ok(done)) => self.noted(ByIptables::Nothing, done, before),
            Err(_) => self.noted(ByIptables::Nothing, 0, before),
            // It is tried again with the next installation.
            Ok(Err(_)) => self.known.forget(),
        }
    }

    /// iptables was looked at, and told so many changes.
    fn noted(&mut self, found: ByIptables, changes: u32, before: Option<u32>) {
        self.known.follow(changes, before, self.generations.now());
        // The number that nftables counts says nothing of the legacy variant.
        self.known.found(if self.is_legacy() { ByIptables::Unknown } else { found });
    }

    /// Puts iptables' rules back if they are gone. Returns whether they were.
    pub(super) fn repair_iptables(&mut self) -> Result<bool, RedirectError> {
        if self.path() != Some(Path::Iptables) || self.aside {
            return Ok(false);
        }
        self.place_iptables_rules()
    }

    /// Hands no more SYNs to the queue. Bans go on acting.
    pub(super) fn close(&mut self) -> Result<(), RedirectError> {
        let path = std::mem::replace(&mut self.stage, Stage::Closed);
        match path {
            Stage::Open(Path::Iptables) => {
                let before = self.generations.now();
                let removed = self.iptables()?.remove().map_err(RedirectError::of_iptables)?;
                self.noted(ByIptables::Nothing, removed, before);
            }
            Stage::Open(_) | Stage::Closed => {}
        }
        self.install().map(drop)
    }

    /// Changes single elements, fresh ones first, because that is quick.
    pub(super) fn change(&mut self, changes: &[Elem]) -> Result<(), ToolError> {
        if self.aside || changes.is_empty() {
            return Ok(());
        }
        let (fresh, others): (Vec<Elem>, Vec<Elem>) = changes.iter().partition(|e| e.fresh);
        let count = fresh.len().div_ceil(BATCH) + others.len().div_ceil(BATCH);
        self.put(count, |nft| {
            fresh
                .chunks(BATCH)
                .map(additions)
                .filter(|text| !text.is_empty())
                .try_for_each(|text| nft.apply_text(&text))?;
            others.chunks(BATCH).try_for_each(|some| {
                let commands = transaction::elements(some);
                if commands.is_empty() { Ok(()) } else { nft.apply(&commands) }
            })
        })
    }

    /// Fills the sets of wide prefixes.
    pub(super) fn refuse(&mut self, live: &[(IpNet, u32)]) -> Result<(), ToolError> {
        if self.aside {
            return Ok(());
        }
        self.put(1, |nft| nft.apply(&transaction::refused(live)))
    }

    /// Fills the set of served ports.
    pub(super) fn serve(&mut self) -> Result<(), ToolError> {
        self.fill(&[sets::served_set(&self.config)])
    }

    /// Fills the sets of trusted prefixes.
    pub(super) fn trust(&mut self) -> Result<(), ToolError> {
        self.fill(&sets::trusted(&self.config))
    }

    /// Fills sets whose elements the config decides.
    fn fill(&mut self, sets: &[KernelSet]) -> Result<(), ToolError> {
        if self.aside {
            return Ok(());
        }
        self.put(1, |nft| nft.apply(&transaction::fixed(sets)))?;
        self.known.filled(sets);
        Ok(())
    }

    /// Are the table's rules and sets there, and these elements in their sets?
    pub(super) fn holds(&self, sample: &[Elem]) -> Result<bool, ToolError> {
        if self.aside || !self.is_whole()? {
            return Ok(self.aside);
        }
        match self.nft.check(&transaction::missing(sample)) {
            Ok(()) => Ok(true),
            Err(ToolError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The named counters, in packets.
    pub(super) fn counters(&self) -> Result<Vec<(&'static str, u64)>, ToolError> {
        let objects = self.nft.table()?;
        let packets = |name: &str| {
            let counter = objects.iter().map(|o| &o["counter"]).find(|c| c["name"] == name);
            counter.and_then(|c| c["packets"].as_u64()).unwrap_or(0)
        };
        Ok(COUNTERS.iter().map(|(name, _)| (*name, packets(name))).collect())
    }
}

/// Packets that were stopped of each source that comes at present. Takes up to a second: to be called
/// on a thread of its own.
pub(super) fn stopped() -> Vec<Listed> {
    let stems = ["refused", STOPPED, STOPPED_AT].into_iter();
    let sets = stems.flat_map(|stem| FAMILIES.map(|family| family.set(stem)));
    // A set that is missing now will be there at the next reading.
    sets.flat_map(|set| dump::elements(&set).elements).collect()
}

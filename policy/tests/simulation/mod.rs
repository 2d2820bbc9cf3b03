//! One account, its owner and its guessers on a clock of their own: the lanes, stands and limits are the policy's, the
//! rest of the tarpit follows the same rule text (DESIGN promises 3, 5 and 6) in its shortest form.
//!
//! Shared by the tests beside it and by `tests/bench/guessing.rs`. What only makes guessing harder is left out: jitter,
//! spread attacks, and the 100 failures without a success, which an owner who logs in daily never lets happen.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;
use twinlock_config::Config;
use twinlock_policy::bound::{FURTHER_LANES, WAY_IN_TRIES_A_PREFIX, WAY_IN_TRIES_A_SECOND, YEAR};
use twinlock_policy::lane::{Jitter, Lane, LaneLimits, LaneTime, Opening, PrefixLane, PrefixLimits};
use twinlock_policy::{LaneKey, Policy, Prefix, Seen, Service, Source, Stand};

const CALM: Jitter = Jitter(0);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const STEP_S: u64 = 30;

/// The configuration that is shipped.
pub(crate) fn shipped() -> Config {
    let text = include_str!("../../../config/twinlock.toml");
    twinlock_config::parse(text, Path::new("twinlock.toml"))
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config
}

/// Random numbers that a seed repeats (SplitMix64).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The account's authenticator. With few digits it is guessed often enough to be counted.
#[derive(Debug, Clone, PartialEq)]
struct Phone {
    seed: u64,
    codes: u64,
    window: u64,
    used: u64,
}

impl Phone {
    fn code(&self, step: u64) -> u64 {
        (Random(self.seed ^ step.wrapping_mul(0xd6e8_feb8_6659_fd93)).next() >> 33) % self.codes
    }

    /// Steps are counted from far enough that a window never begins before the first.
    fn step(now: LaneTime) -> u64 {
        10 + now.0 / (1000 * STEP_S)
    }

    /// Spends the code if it is one that may be used.
    fn one(&mut self, now: LaneTime, typed: u64) -> bool {
        let step = Self::step(now);
        let right =
            (step - self.window..=step + self.window).find(|s| *s > self.used && self.code(*s) == typed);
        self.used = right.unwrap_or(self.used);
        right.is_some()
    }

    /// Spends two neighbours, in the window widened by one step to the past.
    fn two(&mut self, now: LaneTime, first: u64, second: u64) -> bool {
        let step = Self::step(now);
        let right = (step - self.window - 1..step + self.window)
            .find(|s| *s > self.used && self.code(*s) == first && self.code(*s + 1) == second);
        self.used = right.map_or(self.used, |first| first + 1);
        right.is_some()
    }
}

/// Tries within a time, counted from the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    began: LaneTime,
    tries: u32,
}

impl Count {
    fn after_one_more(self, now: LaneTime, most: u32, within: Duration) -> Option<Self> {
        if self.tries == 0 || now.since(self.began) >= within {
            return Some(Self { began: now, tries: 1 });
        }
        (self.tries < most).then_some(Self { tries: self.tries + 1, ..self })
    }
}

/// Somebody at a place.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) lane: LaneKey,
    prefixes: Vec<Prefix>,
    way_in: Option<Prefix>,
}

/// What is typed for a code.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Typed {
    One(u64),
    Two(u64, u64),
}

/// A try that was compared and waits to be settled.
#[derive(Debug)]
pub(crate) struct Charge {
    /// None behind a closed lane, where two codes were compared.
    slot: Option<Visitor>,
    right: bool,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tally {
    /// Codes compared in the unfamiliar lane, and how many were right.
    pub(crate) unfamiliar: (u64, u64),
    /// In the account's own lanes.
    pub(crate) own: (u64, u64),
    /// Two codes behind closed lanes.
    pub(crate) two: (u64, u64),
    /// Logins of guessers, and binds of a wrong password.
    pub(crate) broken_in: u64,
    pub(crate) wrong_binds: u64,
    /// Logins of the owner, and how often it was refused although it could show two codes.
    pub(crate) owner: (u64, u64),
}

/// One account.
#[derive(Debug, Clone)]
pub(crate) struct World {
    policy: Policy,
    limits: LaneLimits,
    narrow: PrefixLimits,
    wide: PrefixLimits,
    budget: (u32, Duration),
    known: BTreeSet<Prefix>,
    phone: Phone,
    state: State,
    pub(crate) tally: Tally,
}

/// All that an attempt can change.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    lanes: HashMap<LaneKey, Lane>,
    under_way: HashMap<LaneKey, u32>,
    wrong_under_way: u32,
    prefixes: HashMap<Prefix, PrefixLane>,
    wrong_codes: VecDeque<(LaneTime, LaneKey)>,
    way_in: HashMap<Option<Prefix>, [Count; 2]>,
    way_in_second: Count,
}

impl World {
    pub(crate) fn new(config: &Config, digits: u8, seed: u64) -> Self {
        let tarpit = &config.tarpit;
        Self {
            policy: Policy::new(config),
            limits: LaneLimits::new(tarpit),
            narrow: PrefixLimits::narrow(&tarpit.source_limit),
            wide: PrefixLimits::wide(&tarpit.source_limit),
            budget: (tarpit.code_budget.failures, tarpit.code_budget.within.duration()),
            known: owners_addresses().map(Prefix::of).collect(),
            phone: Phone {
                seed,
                codes: 10_u64.pow(digits.into()),
                window: config.totp.window_steps.into(),
                used: 0,
            },
            state: State::default(),
            tally: Tally::default(),
        }
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn visitor(&self, source: Source) -> Visitor {
        let place = self.policy.place(source, Service::new("sshd"), &Seen::default());
        let known = place.earnable_prefix().is_some_and(|prefix| self.known.contains(&prefix));
        let stand = Stand::of_account(&place, known, "guest");
        let prefixes = stand
            .prefixes
            .map(|address| [Some(Prefix::of(address)), Prefix::wide(address)].into_iter().flatten());
        Visitor {
            lane: stand.account,
            prefixes: prefixes.into_iter().flatten().collect(),
            way_in: source.address().map(|address| Prefix::wide(address).unwrap_or(Prefix::of(address))),
        }
    }

    pub(crate) fn lane(&self, key: &LaneKey) -> Lane {
        self.state.lanes.get(key).copied().unwrap_or_default()
    }

    const fn prefix_limits(&self, prefix: Prefix) -> &PrefixLimits {
        match prefix {
            Prefix::V4(_) | Prefix::V6Site(_) => &self.narrow,
            Prefix::V6Provider(_) => &self.wide,
        }
    }

    /// How many single codes may be under way in the visitor's lane.
    fn slots(&self, visitor: &Visitor, now: LaneTime) -> u32 {
        let Opening::Open { slots } = self.lane(&visitor.lane).opening(&self.limits, now) else { return 0 };
        if !self.is_code_budget_spent(visitor, now) {
            slots
        } else if self.takes_two_codes_only(visitor, now) {
            0
        } else {
            1
        }
    }

    fn recent(&self, now: LaneTime) -> impl Iterator<Item = &LaneKey> {
        let within = self.budget.1;
        self.state.wrong_codes.iter().filter(move |(at, _)| now.since(*at) < within).map(|(_, lane)| lane)
    }

    fn wrong_codes(&self, now: LaneTime) -> u32 {
        u32::try_from(self.recent(now).count()).unwrap() + self.state.wrong_under_way
    }

    fn is_code_budget_spent(&self, visitor: &Visitor, now: LaneTime) -> bool {
        visitor.lane != LaneKey::Unfamiliar && self.wrong_codes(now) >= self.budget.0
    }

    /// Whether the code budget is spent, and the lane had a wrong code or no further lane may have one.
    pub(crate) fn takes_two_codes_only(&self, visitor: &Visitor, now: LaneTime) -> bool {
        self.is_code_budget_spent(visitor, now)
            && (self.wrong_codes(now) >= self.budget.0 + FURTHER_LANES
                || self.recent(now).any(|lane| *lane == visitor.lane))
    }

    fn way_in(&mut self, prefix: Option<Prefix>, now: LaneTime) -> Option<()> {
        let most = WAY_IN_TRIES_A_SECOND;
        let second = self.state.way_in_second.after_one_more(now, most, SECOND)?;
        let mut counts = self.state.way_in.get(&prefix).copied().unwrap_or_default();
        for (count, (most, within)) in counts.iter_mut().zip(WAY_IN_TRIES_A_PREFIX) {
            *count = count.after_one_more(now, most, within)?;
        }
        self.state.way_in_second = second;
        self.state.way_in.insert(prefix, counts);
        Some(())
    }

    /// Compares what is typed, or refuses and changes nothing.
    pub(crate) fn begin(&mut self, now: LaneTime, visitor: &Visitor, typed: Typed) -> Option<Charge> {
        for prefix in &visitor.prefixes {
            let lane = self.state.prefixes.get(prefix).copied().unwrap_or_default();
            let Opening::Open { .. } = lane.opening(self.prefix_limits(*prefix), now) else { return None };
        }
        let slots = self.slots(visitor, now);
        if slots == 0 {
            let Typed::Two(first, second) = typed else { return None };
            self.way_in(visitor.way_in, now)?;
            let right = self.phone.two(now, first, second);
            count(&mut self.tally.two, right);
            return Some(Charge { slot: None, right });
        }
        let under_way = self.state.under_way.get(&visitor.lane).copied().unwrap_or(0);
        if under_way >= slots {
            return None;
        }
        let right = match typed {
            Typed::One(code) => self.phone.one(now, code),
            Typed::Two(first, second) => self.phone.two(now, first, second),
        };
        self.state.under_way.insert(visitor.lane.clone(), under_way + 1);
        if visitor.lane == LaneKey::Unfamiliar {
            count(&mut self.tally.unfamiliar, right);
        } else {
            count(&mut self.tally.own, right);
            self.state.wrong_under_way += u32::from(!right);
        }
        Some(Charge { slot: Some(visitor.clone()), right })
    }

    /// Whether the try was granted.
    pub(crate) fn settle(&mut self, now: LaneTime, charge: Charge, password: bool) -> bool {
        let granted = charge.right && password;
        self.tally.wrong_binds += u64::from(charge.right && !password);
        let Some(Visitor { lane, prefixes, .. }) = charge.slot else { return granted };
        *self.state.under_way.get_mut(&lane).unwrap() -= 1;
        let own = lane != LaneKey::Unfamiliar;
        if own && !charge.right {
            self.state.wrong_under_way -= 1;
        }
        if granted {
            return true;
        }
        for prefix in prefixes {
            let limits = *self.prefix_limits(prefix);
            let lane = self.state.prefixes.entry(prefix).or_default();
            *lane = lane.failed(&limits, now, CALM);
        }
        if own && !charge.right {
            let within = self.budget.1;
            self.state.wrong_codes.retain(|(at, _)| now.since(*at) < within);
            self.state.wrong_codes.push_back((now, lane.clone()));
        }
        let failed = self.lane(&lane).failed(&self.limits, now, CALM);
        self.state.lanes.insert(lane, failed);
        false
    }
}

fn count((all, hits): &mut (u64, u64), right: bool) {
    *all += 1;
    *hits += u64::from(right);
}

/// The known pairs of the account: as many as it may have, which is as many as its code budget allows for.
pub(crate) fn owners_addresses() -> impl Iterator<Item = IpAddr> {
    (1..=u8::try_from(FURTHER_LANES).unwrap()).map(|host| Ipv4Addr::new(198, 51, 100, host).into())
}

/// An address that nobody knows.
pub(crate) fn stranger(number: u32) -> Source {
    Source::Address(Ipv4Addr::from_bits(Ipv4Addr::new(11, 0, 0, 0).to_bits() + number).into())
}

/// How somebody guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Many at once, whenever the lane opens.
    Hasty,
    /// Waits until failures are forgotten, then guesses in a burst.
    Patient,
    /// As hasty, and two codes from every address as often as they are taken.
    TwoCodes,
    /// As hasty, and from all the account's own places: known pairs, the office, this host.
    Everywhere,
}

/// A year of guessing, with an owner who logs in once a day from a place it knows.
pub(crate) struct Year<'a> {
    pub(crate) config: &'a Config,
    pub(crate) manner: Manner,
    pub(crate) addresses: u32,
    pub(crate) password: bool,
    pub(crate) digits: u8,
}

/// Tries that a hasty guesser starts at the same moment.
const AT_ONCE: u32 = 12;
/// How long the longest patience is, in caps.
const PATIENCE: u64 = 14;

struct Play<'a> {
    year: &'a Year<'a>,
    world: World,
    random: Random,
    strangers: Vec<Visitor>,
    turn: usize,
    owner: Visitor,
    owner_at: LaneTime,
}

impl Year<'_> {
    pub(crate) fn play(&self, seed: u64) -> Tally {
        let mut random = Random(seed);
        let world = World::new(self.config, self.digits, random.next());
        let mut play = Play {
            year: self,
            strangers: (0..self.addresses).map(|number| world.visitor(stranger(number))).collect(),
            turn: 0,
            owner: world.visitor(Source::Address(owners_addresses().next().unwrap())),
            owner_at: LaneTime(random.below(86_400_000)),
            world,
            random,
        };
        match self.manner {
            Manner::Hasty => play.hasty(),
            Manner::Patient => play.patient(),
            Manner::TwoCodes => play.two_codes(),
            Manner::Everywhere => play.everywhere(),
        }
        play.owner_until(END);
        play.world.tally
    }
}

const END: LaneTime = LaneTime(YEAR.as_millis() as u64);

impl Play<'_> {
    fn hasty(&mut self) {
        let mut now = LaneTime(0);
        while now < END {
            self.owner_until(now);
            self.fill_the_lane(now);
            now = self.world.lane(&LaneKey::Unfamiliar).not_before.max(now.after(SECOND));
        }
    }

    fn patient(&mut self) {
        let cap = self.year.config.tarpit.cap.duration();
        let mut now = LaneTime(0);
        while now < END {
            self.owner_until(now);
            self.fill_the_lane(now);
            let opens = self.world.lane(&LaneKey::Unfamiliar).not_before.max(now.after(SECOND));
            let longest = cap / u32::try_from(1 + self.random.below(8)).unwrap();
            now = if opens.since(now) < longest {
                opens
            } else {
                now.after(cap * u32::try_from(1 + self.random.below(PATIENCE)).unwrap())
            };
        }
    }

    fn two_codes(&mut self) {
        let mut hour = LaneTime(0);
        while hour < END {
            self.owner_until(hour);
            self.fill_the_lane(hour);
            // Three tries from each address, spread over the hour; a day takes ten.
            let tries = if hour.0 / 3_600_000 % 24 < 4 { 3 * u64::from(self.year.addresses) } else { 0 };
            for number in 0..tries {
                let now = hour.after(HOUR * u32::try_from(number).unwrap() / u32::try_from(tries).unwrap());
                self.owner_until(now);
                let typed = Typed::Two(self.guess(), self.guess());
                let visitor =
                    &self.strangers[usize::try_from(number % u64::from(self.year.addresses)).unwrap()];
                if let Some(charge) = self.world.begin(now, visitor, typed) {
                    let granted = self.world.settle(now, charge, self.year.password);
                    self.world.tally.broken_in += u64::from(granted);
                }
            }
            hour = hour.after(HOUR);
        }
    }

    fn everywhere(&mut self) {
        let office = "192.0.2.9".parse().unwrap();
        let own: Vec<Visitor> = owners_addresses()
            .chain([office])
            .map(Source::Address)
            .chain([Source::Local])
            .map(|source| self.world.visitor(source))
            .collect();
        let mut now = LaneTime(0);
        while now < END {
            self.owner_until(now);
            self.fill_the_lane(now);
            // The budget is spent in one lane; then each of the others still takes one.
            if let Some((first, others)) = own.split_first() {
                self.at_once(now, std::iter::repeat_n(first, 4));
                if self.world.takes_two_codes_only(first, now) {
                    self.at_once(now, others.iter());
                }
            }
            now = now.after(HOUR);
        }
    }

    /// As many tries at once as it takes, each from the next address, until the lane is closed.
    fn fill_the_lane(&mut self, now: LaneTime) {
        let strangers = std::mem::take(&mut self.strangers);
        let mut compared = true;
        while compared {
            let from = strangers.iter().cycle().skip(self.turn).take(AT_ONCE as usize);
            compared = self.at_once(now, from);
            self.turn = (self.turn + AT_ONCE as usize) % strangers.len();
        }
        self.strangers = strangers;
    }

    /// One try by each of them, all under way before the first is settled. Whether any was compared.
    fn at_once<'v>(&mut self, now: LaneTime, visitors: impl Iterator<Item = &'v Visitor>) -> bool {
        let mut charges = Vec::new();
        for visitor in visitors {
            let typed = Typed::One(self.guess());
            charges.extend(self.world.begin(now, visitor, typed));
        }
        let compared = !charges.is_empty();
        for charge in charges {
            let granted = self.world.settle(now, charge, self.year.password);
            self.world.tally.broken_in += u64::from(granted);
        }
        compared
    }

    fn guess(&mut self) -> u64 {
        self.random.below(self.world.phone.codes)
    }

    /// Lets the owner log in as often as it was due: with one code, or with two where a guesser at its own address has
    /// closed its lane. Codes that a guesser spent before are not taken; later ones are.
    fn owner_until(&mut self, now: LaneTime) {
        while self.owner_at <= now {
            let at = self.owner_at;
            let before = self.world.tally.clone();
            let (world, step) = (&mut self.world, Phone::step(at));
            let (last, code) = (world.phone.code(step - 1), world.phone.code(step));
            let charge = world
                .begin(at, &self.owner, Typed::One(code))
                .or_else(|| world.begin(at, &self.owner, Typed::Two(last, code)));
            let refused = charge.is_none();
            let granted = charge.is_some_and(|charge| world.settle(at, charge, true));
            world.tally = before;
            world.tally.owner.1 += u64::from(refused);
            if granted {
                world.tally.owner.0 += 1;
                self.owner_at =
                    LaneTime((at.0 / 86_400_000 + 1) * 86_400_000 + self.random.below(80_000_000));
            } else {
                self.owner_at = at.after(Duration::from_secs(3 * STEP_S));
            }
        }
    }
}

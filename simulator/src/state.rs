//! The state that all connections share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::actions::Actions;
use crate::clock::{Clock, seconds};
use crate::config::{Behaviour, Config};
use crate::links::Links;
use crate::log::{Log, LoggedRequest};
use crate::machines::Machines;
use crate::package::Packages;
use crate::quota::Quota;
use crate::script::Script;
use crate::sign_in::Tokens;

/// Called with each request when it has ended.
pub type Observer = Box<dyn Fn(&LoggedRequest) + Send + Sync>;

/// The simulated tenant and service.
pub struct State {
    pub config: Config,
    /// `http://127.0.0.1:PORT`, without the path prefix.
    pub origin: String,
    pub clock: Clock,
    pub machines: Machines,
    pub log: Log,
    pub observer: Option<Observer>,
    world: Mutex<World>,
}

/// The state that requests change.
pub struct World {
    pub behaviour: Behaviour,
    pub actions: Actions,
    pub tokens: Tokens,
    pub links: Links,
    pub packages: Packages,
    pub quota: Quota,
    pub script: Script,
    pub random: fastrand::Rng,
}

impl State {
    pub fn new(config: Config, origin: String, observer: Option<Observer>) -> Self {
        let world = World {
            behaviour: config.behaviour.clone(),
            actions: Actions::default(),
            tokens: Tokens::default(),
            links: Links::default(),
            packages: Packages::default(),
            quota: Quota::new(
                config.quota_mode,
                seconds(config.fixed_phase_s),
                config.count_refused,
            ),
            script: Script::default(),
            random: config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
        };
        State {
            origin,
            clock: Clock::new(config.time_scale),
            machines: Machines::new(&config),
            log: Log::default(),
            observer,
            world: Mutex::new(world),
            config,
        }
    }

    /// The state, with every action brought up to the present.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let World { actions, behaviour, .. } = &mut *world;
        actions.advance(behaviour, &self.clock);
        world
    }

    /// The base address of the API and the sign-in service: origin and path prefix.
    pub fn base(&self) -> String {
        format!("{}{}", self.origin, self.config.path_prefix)
    }
}

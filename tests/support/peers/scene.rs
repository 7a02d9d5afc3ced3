//! A service, and the host that its links lead to.

use super::file_host::FileHost;
use mde_simulator::Simulator;

use crate::Outcome;
use crate::packages::{Folder, lead_to, patient, service};

/// A whole set-up in which the links lead to a host of the test's own.
pub struct Scene {
    pub sim: Simulator,
    pub id: String,
    pub host: FileHost,
    pub folder: Folder,
}

impl Scene {
    pub fn new(
        answer: impl Fn(usize, &str, &mut std::net::TcpStream) + Send + Sync + 'static,
    ) -> Scene {
        let (sim, id) = service("Succeeded");
        let host = FileHost::start(answer);
        lead_to(&sim, &host.link());
        Scene { sim, id, host, folder: Folder::new() }
    }

    pub fn run(&self, more: &[(&str, &str)]) -> Outcome {
        patient(&self.sim, more).download(&self.id, &self.folder.file())
    }
}

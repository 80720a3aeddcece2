//! What must never be, whatever happened. Each is checked where it could be broken first.

use super::disk::What;
use super::membership::{Config, Ids};
use super::server::{Role, Server};
use super::world::World;

/// What went wrong. The kind tells mutants apart, the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Two leaders committed different histories, or one leads without what was acknowledged.
    History(String),
    /// Somebody could be elected who lacks what was acknowledged.
    Loss(String),
    /// The operator took quorum away, or took a step that could.
    Quorum(String),
    /// More than one change of membership at a time.
    Changes(String),
    /// A claim was deleted that policy keeps, or that a member needs.
    Claim(String),
    /// An object of somebody else was touched.
    Foreign(String),
    /// A copy was taken out that is needed for what is wanted.
    Copies(String),
    /// The leader was stopped or moved out of its turn.
    Leader(String),
    /// A member that serves was stopped for a roll that the update policy does not allow yet.
    Policy(String),
    /// The marker of birth was given again.
    Initialize(String),
    /// It does not come to what was wanted, or does not rest there.
    Unsettled(String),
}

impl Wrong {
    pub fn text(&self) -> &str {
        match self {
            Self::History(text)
            | Self::Loss(text)
            | Self::Quorum(text)
            | Self::Changes(text)
            | Self::Claim(text)
            | Self::Foreign(text)
            | Self::Copies(text)
            | Self::Leader(text)
            | Self::Policy(text)
            | Self::Initialize(text)
            | Self::Unsettled(text) => text,
        }
    }

    /// The kind alone.
    pub fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let promise = match self {
            Self::History(_) => "one history",
            Self::Loss(_) => "no acknowledged write is lost",
            Self::Quorum(_) => "the operator never takes quorum away",
            Self::Changes(_) => "one change of membership at a time",
            Self::Claim(_) => "no volume is deleted that policy keeps",
            Self::Foreign(_) => "nothing of somebody else's is touched",
            Self::Copies(_) => "no copy is taken away that is needed for what is wanted",
            Self::Leader(_) => "leadership moves once, last, and by a step",
            Self::Policy(_) => "who serves is restarted only when the update policy allows it",
            Self::Initialize(_) => "the right to found an ensemble is given once",
            Self::Unsettled(_) => "it comes to what is wanted, and rests",
        };
        write!(f, "broken: {promise}: {}", self.text())
    }
}

impl World {
    /// What can be seen of a state, however it was reached.
    pub fn check(&mut self) {
        self.note_service();
        self.voted = self.voted.max(self.committed.voters.len());
        if self.wrong.is_none()
            && let Some(wrong) = self.possible_loss().or_else(|| self.two_leaders())
        {
            self.wrong(wrong);
        }
    }

    /// Whether the servers as they are could elect somebody who lacks what was committed.
    pub fn possible_loss(&self) -> Option<Wrong> {
        let all: Ids = self.kube.running().map(|(id, _)| id).collect();
        let looking = self.kube.running().filter(|(_, server)| server.looking()).map(|(id, _)| id);
        looking.into_iter().find_map(|id| {
            let disk = self.kube.disk(id)?;
            let common = self.history.iter().zip(&disk.log).take_while(|(a, b)| a == b).count();
            if common == self.history.len() {
                return None;
            }
            let group = self.supporters(id, all)?;
            let lost = self.history[common];
            Some(Wrong::Loss(format!("members {group} can elect member {id} now, which lacks {}", name(lost.what))))
        })
    }

    /// Two that may both commit: established, each with a quorum of its own membership that takes its proposals.
    fn two_leaders(&self) -> Option<Wrong> {
        let leaders: Vec<(u32, Ids)> = self
            .kube
            .running()
            .filter(|(_, server)| matches!(server.role, Role::Leading { established: true, leaving: false, .. }))
            .filter(|(_, server)| !server.paused)
            .map(|(id, server)| {
                let crowd = self.kube.running().filter(|(other, _)| self.led_by(*other) == Some(id));
                (id, server, crowd.map(|(other, _)| other).collect::<Ids>().with(id))
            })
            .filter(|(_, server, crowd)| server.quorum(*crowd))
            .map(|(id, _, crowd)| (id, crowd))
            .collect();
        match leaders[..] {
            [(a, with_a), (b, with_b), ..] => {
                Some(Wrong::History(format!("members {a} (with {with_a}) and {b} (with {with_b}) both can commit now")))
            }
            _ => None,
        }
    }

    /// Members that serve with a leader, as they all say. One that was just cut off says so for a while as well.
    pub fn synced(&self) -> Ids {
        let serving = self.kube.running().filter(|(_, server)| server.serving() && !server.paused);
        let led = serving.filter(|(_, server)| {
            server
                .follows()
                .is_none_or(|(leader, epoch)| self.kube.server(leader).and_then(Server::leads) == Some(epoch))
        });
        led.map(|(id, _)| id).collect()
    }

    /// Who leads with a quorum behind it.
    pub fn leader(&self) -> Option<u32> {
        let synced = self.synced();
        let leaders = self.kube.running().filter(|(id, server)| server.leads().is_some() && synced.contains(*id));
        // One that was stopped for a while leads on in its epoch until it notices.
        leaders
            .filter(|(_, server)| server.config.quorum(synced))
            .max_by_key(|(_, server)| server.leads())
            .map(|(id, _)| id)
    }

    /// The memberships of which quorums must stay possible: what is committed, and what is proposed.
    pub fn memberships(&self) -> Vec<Config> {
        let proposed = self.kube.running().filter_map(|(_, server)| server.next);
        let mut all: Vec<Config> = proposed.filter(|config| config.version > self.committed.version).collect();
        all.push(self.committed);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The operator stops or removes what `remaining` are left of. `before`: who was synced when it looked.
    pub fn judge_quorum(&mut self, before: Ids, remaining: Ids, what: &str) {
        if !self.born() {
            return;
        }
        let broken = self.memberships().into_iter().find(|config| config.quorum(before) && !config.quorum(remaining));
        if let Some(config) = broken {
            self.wrong(Wrong::Quorum(format!(
                "{what} leaves {} of membership {config} synced, which are no quorum",
                remaining.and(config.voters)
            )));
        }
    }
}

fn name(what: What) -> String {
    match what {
        What::Write(number) => format!("client write {number}"),
        What::Fresh => "a write of the operator".to_owned(),
        What::Reconfig(config) => format!("the change to membership {config}"),
    }
}

//! Lanes and pools: how many steps run at once.

use std::collections::{HashMap, VecDeque};

use crate::rules::Lane;

use crate::build::steps::StepId;

/// What waits and what runs.
#[derive(Debug)]
pub(crate) struct Schedule {
    lanes: Vec<Queue>,
    /// A lane's position; what is computed and what is a process share one.
    index: HashMap<Lane, usize>,
    pools: Vec<Pool>,
    under_way: HashMap<StepId, (usize, Option<(usize, u32)>)>,
}

#[derive(Debug)]
struct Queue {
    limit: usize,
    running: usize,
    waiting: VecDeque<(StepId, Option<(usize, u32)>)>,
}

#[derive(Debug)]
struct Pool {
    size: u32,
    used: u32,
    /// Steps that have room in their lane and none here.
    waiting: VecDeque<(StepId, usize, u32)>,
}

impl Schedule {
    pub(crate) fn new(jobs: usize, pools: &[(String, u32)]) -> Self {
        let queue = Queue { limit: jobs.max(1), running: 0, waiting: VecDeque::new() };
        Self {
            lanes: vec![queue],
            index: HashMap::from([(Lane::Compute, 0), (Lane::Process, 0)]),
            pools: pools.iter().map(|(_, size)| Pool { size: *size, used: 0, waiting: VecDeque::new() }).collect(),
            under_way: HashMap::new(),
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.under_way.len()
    }

    /// Puts a step in line. `pool` is a position among the pools, and how much of it the step takes.
    pub(crate) fn push(&mut self, id: StepId, lane: &Lane, pool: Option<(usize, u32)>) {
        let lane = match self.index.get(lane) {
            Some(&lane) => lane,
            None => {
                let limit = match lane {
                    Lane::Source(_, limit) => (*limit).max(1),
                    Lane::Compute | Lane::Process => unreachable!("known from the start"),
                };
                self.lanes.push(Queue { limit, running: 0, waiting: VecDeque::new() });
                self.index.insert(lane.clone(), self.lanes.len() - 1);
                self.lanes.len() - 1
            }
        };
        self.lanes[lane].waiting.push_back((id, pool));
    }

    /// The next step that may start now.
    pub(crate) fn next(&mut self) -> Option<StepId> {
        self.next_from_pools().or_else(|| (0..self.lanes.len()).find_map(|lane| self.next_in(lane)))
    }

    fn next_from_pools(&mut self) -> Option<StepId> {
        for pool in 0..self.pools.len() {
            let Some(&(id, lane, weight)) = self.pools[pool].waiting.front() else { continue };
            if self.lanes[lane].running < self.lanes[lane].limit && self.has_room(pool, weight) {
                self.pools[pool].waiting.pop_front();
                self.start(id, lane, Some((pool, weight)));
                return Some(id);
            }
        }
        None
    }

    fn next_in(&mut self, lane: usize) -> Option<StepId> {
        while self.lanes[lane].running < self.lanes[lane].limit {
            let (id, pool) = self.lanes[lane].waiting.pop_front()?;
            match pool {
                // Who waits for the pool already goes first.
                Some((pool, weight)) if !self.pools[pool].waiting.is_empty() || !self.has_room(pool, weight) => {
                    self.pools[pool].waiting.push_back((id, lane, weight));
                }
                _ => {
                    self.start(id, lane, pool);
                    return Some(id);
                }
            }
        }
        None
    }

    /// A step that weighs more than its pool takes all of it.
    fn has_room(&self, pool: usize, weight: u32) -> bool {
        let pool = &self.pools[pool];
        pool.used == 0 || pool.used + weight <= pool.size
    }

    fn start(&mut self, id: StepId, lane: usize, pool: Option<(usize, u32)>) {
        self.lanes[lane].running += 1;
        if let Some((pool, weight)) = pool {
            self.pools[pool].used += weight;
        }
        self.under_way.insert(id, (lane, pool));
    }

    /// A step is over; its place is free.
    pub(crate) fn end(&mut self, id: StepId) {
        let Some((lane, pool)) = self.under_way.remove(&id) else { return };
        self.lanes[lane].running -= 1;
        if let Some((pool, weight)) = pool {
            self.pools[pool].used -= weight;
        }
    }

    /// Takes a step out of its line; whether it stood in one.
    pub(crate) fn withdraw(&mut self, id: StepId) -> bool {
        let in_lane = self.lanes.iter_mut().any(|lane| {
            let at = lane.waiting.iter().position(|(waiting, _)| *waiting == id);
            at.and_then(|at| lane.waiting.remove(at)).is_some()
        });
        in_lane
            || self.pools.iter_mut().any(|pool| {
                let at = pool.waiting.iter().position(|(waiting, ..)| *waiting == id);
                at.and_then(|at| pool.waiting.remove(at)).is_some()
            })
    }

    /// Takes everything out of the lines, in its order.
    pub(crate) fn take_waiting(&mut self) -> Vec<StepId> {
        let pools = self.pools.iter_mut().flat_map(|pool| pool.waiting.drain(..)).map(|(id, ..)| id);
        let pools: Vec<StepId> = pools.collect();
        let lanes = self.lanes.iter_mut().flat_map(|lane| lane.waiting.drain(..)).map(|(id, _)| id);
        pools.into_iter().chain(lanes).collect()
    }

    /// Takes everything out of the lines.
    pub(crate) fn clear(&mut self) {
        self.lanes.iter_mut().for_each(|l| l.waiting.clear());
        self.pools.iter_mut().for_each(|p| p.waiting.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_runs_no_more_than_its_limit() {
        let mut s = Schedule::new(2, &[]);
        (0..5).for_each(|id| s.push(id, if id % 2 == 0 { &Lane::Compute } else { &Lane::Process }, None));
        assert_eq!((s.next(), s.next(), s.next()), (Some(0), Some(1), None));
        s.end(0);
        assert_eq!((s.next(), s.next()), (Some(2), None));
        let source = Lane::Source("registry http://a".into(), 3);
        (10..15).for_each(|id| s.push(id, &source, None));
        assert_eq!((s.next(), s.next(), s.next(), s.next()), (Some(10), Some(11), Some(12), None));
    }

    #[test]
    fn a_pool_bounds_the_weight_of_what_runs_and_lets_others_pass() {
        let mut s = Schedule::new(8, &[("disk".into(), 3)]);
        s.push(0, &Lane::Process, Some((0, 2)));
        s.push(1, &Lane::Process, Some((0, 2)));
        s.push(2, &Lane::Process, None);
        s.push(3, &Lane::Process, Some((0, 1)));
        s.push(4, &Lane::Process, Some((0, 9)));
        assert_eq!((s.next(), s.next(), s.next()), (Some(0), Some(2), None));
        s.end(0);
        assert_eq!((s.next(), s.next(), s.next()), (Some(1), Some(3), None));
        s.end(1);
        assert_eq!(s.next(), None, "heavier than the pool: alone");
        s.end(3);
        assert_eq!(s.next(), Some(4));
    }
}

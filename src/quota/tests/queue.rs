use super::*;

/// A queue with the given callers, and the order in which they are served.
fn served(ranks: &[Rank]) -> String {
    let mut queue = Queue::default();
    let mut waiting: Vec<(Ticket, usize)> = Vec::new();
    for (n, rank) in ranks.iter().enumerate() {
        let ticket = queue.ticket(*rank);
        queue.enter(ticket, &Arc::default());
        waiting.push((ticket, n));
    }
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let next: Vec<_> = waiting.iter().filter(|(one, _)| queue.is_turn_of(*one)).collect();
        let [(ticket, n)] = next[..] else { panic!("one is next, not {}", next.len()) };
        let (ticket, n) = (*ticket, *n);
        queue.admit(ticket);
        queue.leave(ticket);
        waiting.retain(|(one, _)| *one != ticket);
        order.push(n.to_string());
    }
    order.join(" ")
}

const SINGLE: Rank = Rank::Single;
const SWEEP: Rank = Rank::Sweep;

#[test]
fn a_single_goes_ahead_of_every_sweep_and_each_rank_keeps_its_order() {
    assert_eq!(served(&[SWEEP, SWEEP, SINGLE, SINGLE]), "2 3 0 1");
}

#[test]
fn after_three_singles_one_sweep_goes() {
    let ranks = [SINGLE, SINGLE, SWEEP, SWEEP, SINGLE, SINGLE, SINGLE, SINGLE, SINGLE];
    assert_eq!(served(&ranks), "0 1 4 2 5 6 7 3 8");
}

#[test]
fn singles_that_nobody_waited_for_do_not_count() {
    let mut queue = Queue::default();
    for _ in 0..9 {
        let single = queue.ticket(SINGLE);
        queue.admit(single);
    }
    let (sweep, single) = (queue.ticket(SWEEP), queue.ticket(SINGLE));
    queue.enter(sweep, &Arc::default());
    assert!(queue.is_turn_of(single));
}

#[test]
fn a_sweep_that_leaves_takes_its_right_along() {
    let mut queue = Queue::default();
    let sweep = queue.ticket(SWEEP);
    queue.enter(sweep, &Arc::default());
    for _ in 0..3 {
        let single = queue.ticket(SINGLE);
        assert!(queue.is_turn_of(single));
        queue.admit(single);
    }
    let single = queue.ticket(SINGLE);
    assert!(queue.is_turn_of(sweep) && !queue.is_turn_of(single));
    assert_eq!((queue.before(SINGLE), queue.before(SWEEP)), (1, 1));
    queue.leave(sweep);
    let late = queue.ticket(SWEEP);
    queue.enter(late, &Arc::default());
    assert!(queue.is_turn_of(single));
    assert_eq!((queue.before(SINGLE), queue.before(SWEEP)), (0, 1));
}

#[test]
fn a_caller_that_the_shared_log_refused_is_not_counted() {
    let mut queue = Queue::default();
    let sweep = queue.ticket(SWEEP);
    queue.enter(sweep, &Arc::default());
    for _ in 0..9 {
        let single = queue.ticket(SINGLE);
        let counted = queue.admit(single);
        queue.undo(counted);
    }
    for _ in 0..3 {
        let single = queue.ticket(SINGLE);
        queue.admit(single);
    }
    // The sweep is refused and a single meanwhile: it is still the turn of the sweep.
    let counted = queue.admit(sweep);
    let single = queue.ticket(SINGLE);
    let of_single = queue.admit(single);
    queue.undo(counted);
    queue.undo(of_single);
    assert!(queue.is_turn_of(sweep) && !queue.is_turn_of(single));
}

#[test]
fn a_sweep_has_its_time_anew_whenever_its_turn_comes() {
    let at = |seconds| Time::default().plus(Duration::from_secs(seconds));
    let mut queue = Queue::default();
    let sweep = queue.ticket(SWEEP);
    queue.enter(sweep, &Arc::default());
    queue.sweep_asks_again(sweep, Some(at(5)));
    for _ in 0..3 {
        let single = queue.ticket(SINGLE);
        assert!(!queue.is_behind_sweep(single));
        queue.admit(single);
    }
    let [first, second] = [queue.ticket(SINGLE), queue.ticket(SINGLE)];
    queue.enter(first, &Arc::default());
    assert!(queue.is_behind_sweep(first) && !queue.is_behind_sweep(second));
    assert_eq!(queue.until_sweep_is_due(at(100)), at(101));
    assert_eq!(queue.until_sweep_is_due(at(101)), at(101));
    // It stays late until it asks.
    queue.admit(first);
    assert_eq!(queue.until_sweep_is_due(at(102)), at(101));
    queue.sweep_asks_again(sweep, Some(at(200)));
    assert_eq!(queue.until_sweep_is_due(at(103)), at(201));
    queue.leave(sweep);
    assert_eq!(queue.until_sweep_is_due(at(300)), at(301));
}

#[test]
fn the_next_caller_is_woken_and_no_other() {
    let mut queue = Queue::default();
    let signals: [Arc<Signal>; 3] = Default::default();
    let tickets = [SWEEP, SINGLE, SINGLE].map(|rank| queue.ticket(rank));
    for (ticket, signal) in tickets.iter().zip(&signals) {
        queue.enter(*ticket, signal);
    }
    let woken = || signals.each_ref().map(|signal| signal.take_wake());
    queue.wake_next();
    assert_eq!(woken(), [false, true, false]);
    // One that is not next leaves.
    queue.leave(tickets[2]);
    assert_eq!(woken(), [false; 3]);
    queue.leave(tickets[1]);
    assert_eq!(woken(), [true, false, false]);
}

//! A request allocates nothing once a pool has seen its members and its largest number of requests: counted by the allocator
//! itself, under every policy.
#![expect(
    unsafe_code,
    reason = "only an allocator sees every allocation, and implementing one is unsafe; it passes each call on"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

use traffic::{Ask, Member, Outcome, Policy, Pool, PoolConfig};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more; nobody measures there.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: each call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[test]
fn a_request_allocates_nothing() -> anyhow::Result<()> {
    let policies = [Policy::Ewma, Policy::RoundRobin, Policy::LeastConnections, Policy::IpHash, Policy::Rendezvous];
    for policy in policies {
        for members in [4, 40] {
            let mut pool = Pool::new(PoolConfig { policy, ..PoolConfig::default() });
            pool.set_members(Duration::ZERO, &(0..members).map(Member::ready).collect::<Vec<_>>());
            let mut held = Vec::with_capacity(8);
            let mut allocated = 0;
            for step in 0..4_000_u64 {
                let before = ALLOCATIONS.get();
                let now = Duration::from_millis(step * 3);
                pool.deposit(now);
                held.push(pool.pick(now, &Ask { draw: step << 40, hash: step, repeatable: true, ..Ask::default() })?);
                if held.len() == 8 {
                    for ticket in held.drain(..) {
                        let outcome = if ticket.slot == 1 { Outcome::Broken } else { Outcome::Ok };
                        pool.first_byte(now, &ticket, outcome);
                        pool.finish(now, ticket, outcome);
                    }
                }
                while pool.next_event().is_some() {}
                // The slab of requests is the warm-up.
                if step >= 100 {
                    allocated += ALLOCATIONS.get() - before;
                }
            }
            assert_eq!(allocated, 0, "{policy:?} with {members} members");
        }
    }
    Ok(())
}

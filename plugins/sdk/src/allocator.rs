//! Memory for strategies, without asking the host for any.
//!
//! A call begins with a fresh instance, and an instance that executes
//! `memory.grow` costs about twice one that does not. The standard library's
//! allocator grows at the first allocation; this one serves the first 128 KiB
//! from an arena within the initial memory and grows only beyond that. The
//! arena is zeroed, hence no part of the file and no linker flag.
#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without; this is the one in the workspace"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::{Cell, UnsafeCell};
use std::ptr::null_mut;

use dlmalloc::{Allocator, Dlmalloc};

/// Enough for a request and its decision many times over. More would cost
/// nothing until it is touched, where the kernel can tell what was touched.
const ARENA_SIZE: usize = 128 * 1024;

const PAGE: usize = 64 * 1024;

#[global_allocator]
static GLOBAL: Global = Global(UnsafeCell::new(Dlmalloc::new_with_allocator(ArenaFirst {
    handed_out: Cell::new(false),
})));

/// Apart from the allocator's own state, which is not all zeros and would take
/// the arena with it into the file.
static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_SIZE]));

struct Global(UnsafeCell<Dlmalloc<ArenaFirst>>);

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA_SIZE]>);

#[cfg(target_feature = "atomics")]
compile_error!("the allocator has no lock: build without the target feature `atomics`");

// SAFETY: there are no threads (see the check above), so that nothing is ever
// shared.
unsafe impl Sync for Global {}

// SAFETY: as above.
unsafe impl Sync for Arena {}

// SAFETY: every method hands its arguments on unchanged to an allocator that
// keeps the same contract. The exclusive reference is the only one, because
// there are no threads and the allocator does not call back.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(memory, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(memory, layout.size(), layout.align(), size) }
    }
}

/// Hands out the arena once and whole pages of new memory from then on.
struct ArenaFirst {
    handed_out: Cell<bool>,
}

// SAFETY: each piece of memory is handed out once: the arena under a flag, new
// pages because `memory.grow` never gives the same ones again. Nothing is ever
// taken back.
unsafe impl Allocator for ArenaFirst {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= ARENA_SIZE && !self.handed_out.replace(true) {
            return (ARENA.0.get().cast(), ARENA_SIZE, 0);
        }
        let pages = size.div_ceil(PAGE);
        let before = memory_grow(0, pages);
        if before == usize::MAX {
            return (null_mut(), 0, 0);
        }
        (std::ptr::with_exposed_provenance_mut(before * PAGE), pages * PAGE, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

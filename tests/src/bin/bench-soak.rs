//! A million random operations by 200 clients of one agent, which is killed and replaced meanwhile, as
//! are the clients: what it came to. `cargo xtask bench soak OPERATIONS` does another number.

use profiler_tests::bench::argument;
use profiler_tests::soak::Storm;

fn main() {
    const USAGE: &str = "soak [OPERATIONS] [SEED]";
    let operations = argument(1, 1_000_000, USAGE);
    let seed = argument(2, 0x5eed, USAGE);
    println!("{}", Storm::begin(seed).rage(operations, 3 + operations / 50_000));
}

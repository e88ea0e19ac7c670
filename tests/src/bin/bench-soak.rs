//! A million random operations by 200 clients of one agent, which is killed and replaced meanwhile, as
//! are the clients: what it came to. `cargo xtask bench soak OPERATIONS` does another number.

use profiler_tests::soak::Storm;

fn main() {
    let named = std::env::args().nth(1);
    let operations = named.map_or(1_000_000, |number| number.parse().expect("a number"));
    let seed = std::env::args().nth(2).map_or(0x5eed, |number| number.parse().expect("a seed"));
    println!("{}", Storm::begin(seed).rage(operations, 3 + operations / 50_000));
}

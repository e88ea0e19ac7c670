//! Plants drawn at random: for finding out whether a controller works on plants that nobody had in
//! mind.
//!
//! A drawn plant is text, as one would write it: it can be kept, changed and run again.

use std::fmt::Write;
use std::str::FromStr;

use super::plant::{Invalid, Plant, read};
use super::random::Random;

/// What is short in a drawn plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// CPU, with or without waiting.
    Cpu,
    /// A server's slots.
    Network,
    /// A disk's throughput.
    Disk,
    /// Memory.
    Memory,
}

impl Shortage {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("cpu", Self::Cpu),
        ("network", Self::Network),
        ("disk", Self::Disk),
        ("memory", Self::Memory),
    ];
    /// Those that are drawn if nothing else is asked for.
    pub const USUAL: [Self; 3] = [Self::Cpu, Self::Network, Self::Disk];
}

impl FromStr for Shortage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        let names = Self::ALL.map(|(name, _)| name).join(", ");
        found
            .map(|(_, kind)| *kind)
            .ok_or_else(|| format!("nothing called {name:?} can be short; there are {names}"))
    }
}

/// The profile is wrong by up to this factor, either way.
const MOST_WRONG: f64 = 4.0;

/// Plant number `number` of those that `seed` draws, and its text; what is short is one of `of`.
///
/// # Errors
/// None that is known: what is drawn is a plant.
pub fn draw(seed: u64, number: u64, of: &[Shortage]) -> Result<(Plant, String), Invalid> {
    let mut random = Random::new(seed, number);
    let shortage = of.get(random.index(of.len())).copied().unwrap_or(Shortage::Cpu);
    let text = text(&mut random, shortage, number);
    let plant = read(&format!("drawn plant {number} of seed {seed}"), &text)?;
    Ok((plant, text))
}

/// The drawn sizes of a job.
struct Sizes {
    cpu: f64,
    wait: f64,
    other: f64,
    memory: f64,
}

impl Sizes {
    fn draw(random: &mut Random, shortage: Shortage) -> Self {
        let seconds = random.log_between(1.0, 12.0);
        // Of the job's time alone: on the CPU, and waiting for nothing that is short.
        let (cpu, wait) = match shortage {
            Shortage::Cpu => {
                let cpu = random.between(0.15, 1.0);
                (cpu, 1.0 - cpu)
            }
            Shortage::Network => (random.between(0.01, 0.1), random.between(0.0, 0.2)),
            Shortage::Disk => (random.between(0.02, 0.2), random.between(0.0, 0.1)),
            Shortage::Memory => {
                let cpu = random.between(0.05, 0.3);
                (cpu, 1.0 - cpu)
            }
        };
        let memory = match shortage {
            Shortage::Memory => random.log_between(200.0, 3000.0),
            _ => 0.0,
        };
        let other = (1.0 - cpu - wait).max(0.0) * seconds;
        Self { cpu: cpu * seconds, wait: wait * seconds, other, memory }
    }
}

fn text(random: &mut Random, shortage: Shortage, number: u64) -> String {
    let cores = [2, 4, 8, 16, 32][random.index(5)];
    let sizes = Sizes::draw(random, shortage);
    let cv = random.between(0.1, 1.2);
    let seconds = sizes.cpu + sizes.wait + sizes.other;
    let kind =
        Shortage::ALL.iter().find(|(_, kind)| *kind == shortage).map_or("", |(name, _)| name);
    let mut text = format!(
        "name = \"drawn {number}: {kind}\"\nduration_seconds = 600\n\n[host]\ncores = {cores}\n\
         switching = {:.3}\n",
        random.between(0.0, 0.3)
    );
    if shortage == Shortage::Memory {
        // Room for three to twenty jobs; the CPU is not what is short.
        let room = sizes.memory * random.log_between(3.0, 20.0) + 500.0;
        append(&mut text, format_args!("memory_mb = {room:.0}\nreserve_mb = 500\n"));
    }
    let stream = random.log_between(50.0, 400.0);
    match shortage {
        Shortage::Disk => {
            let streams = 2 + random.index(15);
            append(
                &mut text,
                format_args!(
                    "\n[[disk]]\nname = \"disk\"\nmb_per_second = {:.1}\nstream_mb_per_second = \
                 {stream:.1}\nstreams = {streams}\nthrash = {:.3}\n",
                    stream * streams as f64 * random.between(0.5, 1.0),
                    random.between(0.05, 0.4),
                ),
            );
        }
        Shortage::Network => {
            let falls = ["share", "collapse"][random.index(2)];
            append(
                &mut text,
                format_args!(
                    "\n[[server]]\nname = \"server\"\nslots = {}\nwhen_full = \"{falls}\"\ncollapse = \
                 {:.3}\n",
                    4 + random.index(37),
                    random.between(0.05, 0.3),
                ),
            );
        }
        Shortage::Cpu | Shortage::Memory => {}
    }
    append(&mut text, format_args!("\n[[connector]]\nname = \"work\"\n"));
    profile(&mut text, random, &sizes, seconds);
    job(&mut text, random, shortage, &sizes, cv, stream);
    text
}

fn profile(text: &mut String, random: &mut Random, sizes: &Sizes, seconds: f64) {
    let mut wrong = || random.log_between(1.0 / MOST_WRONG, MOST_WRONG);
    let (cores, memory, duration) = (wrong(), wrong(), wrong());
    append(
        text,
        format_args!(
            "\n[connector.profile]\npreferred_concurrency = {}\navg_cpu_cores = {:.4}\navg_memory_mb = \
         {:.1}\navg_duration_seconds = {:.2}\n",
            1 + random.index(6),
            (sizes.cpu / seconds * cores).max(0.001),
            (sizes.memory.max(64.0) * memory).max(1.0),
            seconds * duration,
        ),
    );
}

fn job(
    text: &mut String,
    random: &mut Random,
    shortage: Shortage,
    sizes: &Sizes,
    cv: f64,
    stream: f64,
) {
    append(text, format_args!("\n[connector.job]\nrounds = {}\n", 1 + random.index(12)));
    let mut need = |key: &str, mean: f64| {
        if mean > 0.001 {
            append(
                text,
                format_args!("{key} = {{ lognormal = {{ mean = {mean:.4}, cv = {cv:.3} }} }}\n"),
            );
        }
    };
    need("cpu_seconds", sizes.cpu);
    need("wait_seconds", sizes.wait);
    match shortage {
        Shortage::Disk => {
            need("disk_mb", sizes.other * stream);
            append(text, format_args!("disk = \"disk\"\n"));
        }
        Shortage::Network => {
            need("request_seconds", sizes.other);
            append(text, format_args!("server = \"server\"\n"));
        }
        Shortage::Memory => {
            append(
                text,
                format_args!(
                    "memory_mb = {{ lognormal = {{ mean = {:.1}, cv = {:.3} }} }}\nmemory_start = \
                 {:.2}\nmemory_ramp = {:.2}\n",
                    sizes.memory,
                    random.between(0.05, 0.5),
                    random.between(0.1, 1.0),
                    random.between(0.2, 1.0),
                ),
            );
        }
        Shortage::Cpu => {}
    }
}

/// Writing to a string cannot fail.
fn append(text: &mut String, part: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_drawn_is_a_plant_and_the_same_each_time() {
        let all = Shortage::ALL.map(|(_, kind)| kind);
        for number in 0..200 {
            let (plant, text) = draw(7, number, &all).unwrap();
            assert_eq!(draw(7, number, &all).unwrap().1, text);
            assert_eq!(plant.connectors.len(), 1);
        }
        assert_ne!(draw(7, 0, &all).unwrap().1, draw(8, 0, &all).unwrap().1);
    }

    #[test]
    fn a_drawn_plant_lacks_what_was_asked_for() {
        for (name, kind) in Shortage::ALL {
            assert_eq!(name.parse(), Ok(kind));
            let (plant, _) = draw(1, 1, &[kind]).unwrap();
            assert!(plant.name.ends_with(name));
            assert_eq!(plant.has_memory(), kind == Shortage::Memory);
        }
        assert!("magic".parse::<Shortage>().is_err());
    }
}

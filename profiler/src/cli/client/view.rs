//! Showing what the agent knows: once or again and again, for people or for programs.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use profiler_client::protocol::Method;
use profiler_client::wire::Mode;
use profiler_client::{Connection, Socket};

use super::args::{One, View};
use super::{connect, failure};
use crate::cli::{Failure, print};

/// Moves to the top of the terminal and clears what is below.
const AFRESH: &str = "\x1b[H\x1b[J";

/// Shows something once.
pub(super) fn once<M: Method>(
    parameters: &M,
    one: &One,
    table: impl Fn(&M::Reply) -> String,
) -> Result<ExitCode, Failure> {
    let mut connection = connect(one.socket.as_ref(), Socket::Control)?;
    connection.send(M::NAME, parameters, Mode::One).map_err(failure)?;
    let (text, _) = next::<M>(&mut connection, one.json, &table)?;
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows something once, or as often as the agent tells it.
pub(super) fn live<M: Method>(
    parameters: &M,
    view: &View,
    table: impl Fn(&M::Reply) -> String,
) -> Result<ExitCode, Failure> {
    if !view.watch {
        return once(parameters, &view.one, table);
    }
    let is_screen = stdout().is_terminal() && !view.one.json;
    let mut connection = connect(view.one.socket.as_ref(), Socket::Control)?;
    connection.send(M::NAME, parameters, Mode::More).map_err(failure)?;
    loop {
        let (text, continues) = next::<M>(&mut connection, view.one.json, &table)?;
        match (is_screen, view.one.json) {
            (true, _) => print(&format!("{AFRESH}{text}"))?,
            (false, true) => print(&text)?,
            (false, false) => print(&format!("{text}\n"))?,
        }
        if !continues {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The next reply as it is shown, and whether another follows.
fn next<M: Method>(
    connection: &mut Connection,
    is_json: bool,
    table: &impl Fn(&M::Reply) -> String,
) -> Result<(String, bool), Failure> {
    if is_json {
        let (text, continues) = connection.receive_text().map_err(failure)?;
        return Ok((text + "\n", continues));
    }
    let (reply, continues) = connection.receive::<M>().map_err(failure)?;
    Ok((table(&reply), continues))
}

//! From a message to the answer: what every Varlink service answers, and what is wrong with a call.

use profiler_client::interfaces;
use profiler_client::protocol::{
    ControlCall, Description, Info, ServiceCall, ServiceError, WorkerCall,
};
use profiler_client::wire::{self, Mode};

use super::parameter::at_fault;
use super::{Answer, Answered, Call, Reply, Role, Service};

/// What became of a message.
pub(super) enum Dispatched<P> {
    /// It is answered, if it asked for that.
    Answered,
    /// It waits, to be answered in this way.
    Waits(P, Mode),
    /// It breaks the protocol, or its answer cannot be written: the connection ends after what was
    /// written so far.
    Ends,
}

/// Answers a message into `out`, or has the service do so.
pub(super) fn dispatch<S: Service>(
    service: &S,
    session: &mut S::Session,
    role: Role,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Dispatched<S::Pending> {
    let Ok(call) = wire::Call::parse(message) else {
        refuse(out);
        return Dispatched::Ends;
    };
    let mode = match (call.more(), call.oneway(), call.upgrade()) {
        (false, false, false) => Mode::One,
        (true, false, false) => Mode::More,
        (false, true, false) => Mode::Oneway,
        (_, _, is_upgrade) => {
            let wrong = if is_upgrade { "upgrade" } else { "oneway" };
            Reply::new(out, Mode::One).error(&invalid(wrong.to_owned()));
            return Dispatched::Answered;
        }
    };
    let reply = Reply::new(out, mode);
    match read(role, &call) {
        Ok(Read::Ours(call)) => written(own(role, &call, reply)),
        Ok(Read::Services(call)) => match service.call(session, call, reply) {
            Answer::Now(answered) => written(answered),
            Answer::Later(pending) => Dispatched::Waits(pending, mode),
        },
        Err(error) => written(reply.error(&error)),
    }
}

/// Answers what is no call. It has no parameter to name.
pub(super) fn refuse(out: &mut Vec<u8>) {
    Reply::new(out, Mode::One).error(&invalid(String::new()));
}

fn written<P>(answered: Answered) -> Dispatched<P> {
    if answered.is_written { Dispatched::Answered } else { Dispatched::Ends }
}

/// Whose a call is.
enum Read<'a> {
    Ours(ServiceCall<'a>),
    Services(Call<'a>),
}

/// Finds interface and method, and reads the parameters.
fn read<'a>(role: Role, call: &'a wire::Call<'a>) -> Result<Read<'a>, ServiceError> {
    let name: &str = &call.method;
    let (interface, method) = name.rsplit_once('.').unwrap_or((name, ""));
    let parameters = call.parameters();
    let found = match (interface, role) {
        (WorkerCall::INTERFACE, Role::Worker) => WorkerCall::parse(method, parameters)
            .map(|call| call.map(|call| Read::Services(Call::Worker(call)))),
        (ControlCall::INTERFACE, Role::Control) => ControlCall::parse(method, parameters)
            .map(|call| call.map(|call| Read::Services(Call::Control(call)))),
        (ServiceCall::INTERFACE, _) => {
            ServiceCall::parse(method, parameters).map(|call| call.map(Read::Ours))
        }
        _ => return Err(ServiceError::InterfaceNotFound { interface: interface.to_owned() }),
    };
    match found {
        Some(Ok(call)) => Ok(call),
        Some(Err(error)) => Err(invalid(at_fault(parameters, &error))),
        None => Err(ServiceError::MethodNotFound { method: name.to_owned() }),
    }
}

fn invalid(parameter: String) -> ServiceError {
    ServiceError::InvalidParameter { parameter }
}

/// Answers what every Varlink service answers.
fn own(role: Role, call: &ServiceCall<'_>, reply: Reply<'_>) -> Answered {
    let (served, definition) = match role {
        Role::Worker => (WorkerCall::INTERFACE, interfaces::WORKER),
        Role::Control => (ControlCall::INTERFACE, interfaces::CONTROL),
    };
    match call {
        ServiceCall::GetInfo(_) => reply.send(&Info {
            vendor: "profiler".to_owned(),
            product: "profiler agent".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            url: "https://varlink.org".to_owned(),
            interfaces: vec![ServiceCall::INTERFACE.to_owned(), served.to_owned()],
        }),
        ServiceCall::GetInterfaceDescription(asked) => {
            let description = match &*asked.interface {
                ServiceCall::INTERFACE => interfaces::SERVICE,
                name if name == served => definition,
                name => {
                    let interface = name.to_owned();
                    return reply.error(&ServiceError::InterfaceNotFound { interface });
                }
            };
            reply.send(&Description { description: description.to_owned() })
        }
    }
}

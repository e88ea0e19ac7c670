//! The names of the types here, held against the definitions.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor, value::Error};
use serde_json::{Value, json};

use super::*;
use crate::interfaces::definition::{Field, Interface, Kind, Type};
use crate::interfaces::{CONTROL, SERVICE, WORKER};

/// A deserializer that only finds out what a type asks for.
struct Probe<'a>(&'a mut Vec<String>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("neither a struct nor an enum"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields.iter().map(|&field| field.to_owned()));
        Err(Error::custom("seen"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(variants.iter().map(|&variant| variant.to_owned()));
        Err(Error::custom("seen"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The names of a type's fields or variants.
fn names<'de, T: Deserialize<'de>>() -> Vec<String> {
    let mut names = Vec::new();
    let error = T::deserialize(Probe(&mut names)).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("seen"), "{}", std::any::type_name::<T>());
    names
}

fn field_names(fields: &[Field]) -> Vec<String> {
    fields.iter().map(|field| field.name.clone()).collect()
}

struct Methods(BTreeMap<&'static str, (Vec<String>, Vec<String>)>);

impl Methods {
    fn add<'de, M: Method<Reply: Deserialize<'de>> + Deserialize<'de>>(mut self) -> Self {
        self.0.insert(M::NAME, (names::<M>(), names::<M::Reply>()));
        self
    }
}

/// Compares all methods, types and errors of an interface; each must be known on both sides.
fn compare(definition: &str, methods: &Methods, types: &[(&str, Vec<String>)], errors: &[Value]) {
    let interface = Interface::parse(definition).unwrap();
    let mut types: BTreeMap<&str, &Vec<String>> = types.iter().map(|(n, of)| (*n, of)).collect();
    let mut methods = methods.0.clone();
    let mut errors: BTreeMap<String, Value> = errors
        .iter()
        .map(|error| (error["error"].as_str().unwrap().to_owned(), error["parameters"].clone()))
        .collect();
    for member in &interface.members {
        let name = member.name.as_str();
        let full = format!("{}.{name}", interface.name);
        match &member.kind {
            Kind::Type(of) => {
                let defined = match of {
                    Type::Struct(fields) => field_names(fields),
                    Type::Enum(words) => words.clone(),
                    other => panic!("{name} is {other}"),
                };
                assert_eq!(types.remove(name), Some(&defined), "type {full}");
            }
            Kind::Method(takes, gives) => {
                let defined = (field_names(takes), field_names(gives));
                assert_eq!(methods.remove(full.as_str()), Some(defined), "method {full}");
            }
            Kind::Error(data) => {
                let found = errors.remove(&full).unwrap_or_else(|| panic!("no error {full}"));
                let found: Vec<&String> = found.as_object().unwrap().keys().collect();
                let mut defined = field_names(data);
                defined.sort();
                assert_eq!(found, defined.iter().collect::<Vec<_>>(), "error {full}");
            }
        }
    }
    assert!(types.is_empty(), "not defined: {types:?}");
    assert!(methods.is_empty(), "not defined: {methods:?}");
    assert!(errors.is_empty(), "not defined: {errors:?}");
}

#[test]
fn the_workers_interface_is_as_defined() {
    let methods = Methods(BTreeMap::new())
        .add::<Acquire<'_>>()
        .add::<Release>()
        .add::<Peek>()
        .add::<Attach>()
        .add::<Detach>()
        .add::<Hint<'_>>()
        .add::<Preflight<'_>>()
        .add::<WaitIfThrottled<'_>>()
        .add::<Watch<'_>>()
        .add::<AcquireProvider<'_>>()
        .add::<ReleaseProvider>()
        .add::<ReportThrottled<'_>>();
    assert_eq!(methods.0.len(), WorkerCall::METHODS.len());
    let types = [
        ("Scope", names::<Scope>()),
        ("Priority", names::<Priority>()),
        ("OnTimeout", names::<OnTimeout>()),
        ("How", names::<How>()),
        ("Constraint", names::<Constraint>()),
        ("Level", names::<Level>()),
        ("Waiting", names::<Waiting>()),
        ("Advice", names::<Advice>()),
        ("Grant", names::<Grant>()),
        ("Source", names::<Source>()),
        ("Outcome", names::<Outcome>()),
        ("Latency", names::<Latency>()),
        ("Usage", names::<Usage>()),
        ("ConnectorState", names::<ConnectorState>()),
        ("Bounded", names::<Bounded>()),
    ];
    let (lease, permit) = (LeaseId(1), PermitId(1));
    let text = String::new;
    let errors = [
        WorkerError::NoSuchLease { lease },
        WorkerError::NoSuchPermit { permit },
        WorkerError::NoSuchProvider { provider: text() },
        WorkerError::NotGranted { constraints: Vec::new(), waited_ms: 0, estimate_ms: None },
        WorkerError::NoSuchTask { tid: None, pid: None },
        WorkerError::TaskIsTaken { tid: 1 },
        WorkerError::InvalidValue { parameter: text(), why: text() },
        WorkerError::TooMany { what: Bounded::Leases, limit: 1 },
        WorkerError::Draining {},
    ];
    compare(WORKER, &methods, &types, &errors.map(|error| json!(error)));
}

#[test]
fn the_operators_interface_is_as_defined() {
    let methods = Methods(BTreeMap::new())
        .add::<Status>()
        .add::<Connectors<'_>>()
        .add::<Jobs<'_>>()
        .add::<Explain<'_>>()
        .add::<ExplainJob>()
        .add::<History<'_>>()
        .add::<SetProfile<'_>>()
        .add::<SetLimit<'_>>()
        .add::<Drain<'_>>()
        .add::<Resume<'_>>()
        .add::<Reload>();
    assert_eq!(methods.0.len(), ControlCall::METHODS.len());
    let types = [
        ("Level", names::<Level>()),
        ("Priority", names::<Priority>()),
        ("Constraint", names::<Constraint>()),
        ("Intensity", names::<Intensity>()),
        ("Pattern", names::<Pattern>()),
        ("Source", names::<Source>()),
        ("Profile", names::<Profile>()),
        ("Statistics", names::<Statistics>()),
        ("Connector", names::<Connector>()),
        ("State", names::<State>()),
        ("Job", names::<Job>()),
        ("Host", names::<Host>()),
        ("OwnCost", names::<OwnCost>()),
        ("Provider", names::<Provider>()),
        ("PastJob", names::<PastJob>()),
        ("Recommendation", names::<Recommendation>()),
    ];
    assert_eq!(names::<Profile>(), Profile::FIELDS);
    let text = String::new;
    let errors = [
        ControlError::NoSuchConnector { connector: text() },
        ControlError::NoSuchLease { lease: LeaseId(1) },
        ControlError::InvalidValue { parameter: text(), why: text() },
        ControlError::InvalidConfiguration { errors: Vec::new() },
        ControlError::NoHistory { why: text() },
    ];
    compare(CONTROL, &methods, &types, &errors.map(|error| json!(error)));
}

#[test]
fn the_interface_of_every_service_is_as_defined() {
    let methods = Methods(BTreeMap::new()).add::<GetInfo>().add::<GetInterfaceDescription<'_>>();
    assert_eq!(methods.0.len(), ServiceCall::METHODS.len());
    let text = String::new;
    let errors = [
        ServiceError::InterfaceNotFound { interface: text() },
        ServiceError::MethodNotFound { method: text() },
        ServiceError::MethodNotImplemented { method: text() },
        ServiceError::InvalidParameter { parameter: text() },
        ServiceError::PermissionDenied {},
        ServiceError::ExpectedMore {},
    ];
    compare(SERVICE, &methods, &[], &errors.map(|error| json!(error)));
}

#[test]
fn what_is_borrowed_is_not_copied() {
    let parameters = r#"{"connector":"a","source":"b","providers":["c"]}"#;
    let Some(Ok(WorkerCall::Acquire(call))) = WorkerCall::parse("Acquire", parameters) else {
        panic!("no Acquire");
    };
    let within = |text: &str| parameters.as_bytes().as_ptr_range().contains(&text.as_ptr());
    assert!(within(&call.connector) && within(&call.source.unwrap()));
    assert!(within(&call.providers.unwrap()[0]));
}

#[test]
fn an_unknown_parameter_is_no_call() {
    let wrong = |method, parameters| match WorkerCall::parse(method, parameters) {
        Some(Err(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(wrong("Acquire", r#"{"connector":"a","tag":1}"#).contains("unknown field `tag`"));
    assert!(wrong("Release", r#"{"lease":1,"lease":2}"#).contains("duplicate field `lease`"));
    assert!(wrong("Release", r#"{"lease":-1}"#).contains("invalid value"));
    assert!(wrong("Release", "{}").contains("missing field `lease`"));
    let profile = r#"{"connector":"a","profile":{"wieght":1}}"#;
    let Some(Err(error)) = ControlCall::parse("SetProfile", profile) else { panic!() };
    assert!(error.to_string().contains("unknown field `wieght`"));
    assert!(WorkerCall::parse("acquire", "{}").is_none());
}

#[test]
fn errors_read_as_they_were_written() {
    let error = WorkerError::NotGranted {
        constraints: vec![Constraint::Memory],
        waited_ms: 5,
        estimate_ms: Some(7),
    };
    let text = serde_json::to_string(&error).unwrap();
    assert!(text.starts_with(r#"{"error":"org.profiler.Worker.NotGranted","parameters":{"#));
    assert_eq!(serde_json::from_str::<WorkerError>(&text).unwrap(), error);
    let turned = r#"{"parameters":{"lease":5},"error":"org.profiler.Worker.NoSuchLease"}"#;
    let error = WorkerError::NoSuchLease { lease: LeaseId(5) };
    assert_eq!(serde_json::from_str::<WorkerError>(turned).unwrap(), error);
}

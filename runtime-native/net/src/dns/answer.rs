//! From a question to an answer, without input or output.

use super::names::{Tables, View};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Short, because tasks come and go.
const TTL: u32 = 5;
const UDP_SIZE: u16 = 1232;
const SMALLEST: u16 = 512;

/// What is to be done with a question.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Vec<u8>),
    Forward,
    Ignore,
}

/// Answers a question from the names that a sandbox sees. `turn` rotates the addresses; `limit` is the
/// transport's, none over TCP.
pub(crate) fn answer(bytes: &[u8], tables: &Tables, view: &View, turn: usize, datagram: bool) -> Outcome {
    let Ok(question) = Message::from_vec(bytes) else {
        return match bytes.get(..2) {
            Some(id) => reply(Message::error_msg(
                u16::from_be_bytes([id[0], id[1]]),
                OpCode::Query,
                ResponseCode::FormErr,
            )),
            None => Outcome::Ignore,
        };
    };
    if question.metadata.message_type != MessageType::Query {
        return Outcome::Ignore;
    }
    if question.metadata.op_code != OpCode::Query {
        return reply(response(&question, ResponseCode::NotImp));
    }
    let [query] = &question.queries[..] else {
        return reply(response(&question, ResponseCode::FormErr));
    };
    let Some(records) = records(query, tables, view, turn) else {
        return if view.upstreams.is_empty() {
            reply(response(&question, ResponseCode::NXDomain))
        } else {
            Outcome::Forward
        };
    };
    let mut message = response(&question, ResponseCode::NoError);
    message.insert_answers(records);
    if datagram {
        let room = question
            .edns
            .as_ref()
            .map_or(SMALLEST, |e| e.max_payload().clamp(SMALLEST, UDP_SIZE));
        fit(&mut message, usize::from(room));
    }
    reply(message)
}

/// The answer when nobody upstream could give one.
pub(crate) fn failure(bytes: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(bytes).ok()?;
    response(&question, ResponseCode::ServFail).to_vec().ok()
}

/// The records of a name that is known, none of them if it has none of this type; `None` if it is not known.
fn records(query: &Query, tables: &Tables, view: &View, turn: usize) -> Option<Vec<Record>> {
    if query.query_class != DNSClass::IN {
        return None;
    }
    let record = |data| Record::from_rdata(query.name.clone(), TTL, data);
    if query.query_type == RecordType::PTR
        && let Some(address) = reversed(&query.name)
    {
        let name = Name::from_str(&format!("{}.", tables.name(view, address)?)).ok()?;
        return Some(vec![record(RData::PTR(PTR(name)))]);
    }
    let name = query.name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let addresses = tables.addresses(view, &name)?;
    if !matches!(query.query_type, RecordType::A | RecordType::ANY) {
        return Some(Vec::new());
    }
    let mut records: Vec<_> = addresses.iter().map(|a| record(RData::A(A(*a)))).collect();
    if !records.is_empty() {
        let by = turn % records.len();
        records.rotate_left(by);
    }
    Some(records)
}

fn reversed(name: &Name) -> Option<Ipv4Addr> {
    let net = name.parse_arpa_name().ok()?;
    match net.addr() {
        IpAddr::V4(v4) if net.prefix_len() == 32 => Some(v4),
        _ => None,
    }
}

fn response(question: &Message, code: ResponseCode) -> Message {
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_queries(question.queries.iter().cloned());
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE);
        message.set_edns(edns);
    }
    message
}

/// Leaves out what a datagram has no room for, and says so.
fn fit(message: &mut Message, room: usize) {
    while let Ok(bytes) = message.to_vec() {
        if bytes.len() <= room || message.answers.is_empty() {
            return;
        }
        message.metadata.truncation = true;
        let fewer = message.answers.len() * room / bytes.len();
        message.answers.truncate(fewer);
    }
}

fn reply(message: Message) -> Outcome {
    message.to_vec().map_or(Outcome::Ignore, Outcome::Reply)
}

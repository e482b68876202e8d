//! Requests become queries of the DHT or waits for a connection; their events
//! become results.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    error::Error,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    core::ConnectedPoint,
    identify,
    kad::{
        self, store::RecordStore, GetProvidersOk, GetRecordOk, QueryId, QueryResult, Quorum,
        RecordKey,
    },
    multiaddr::Protocol,
    ping,
    swarm::SwarmEvent,
    Multiaddr, PeerId, StreamProtocol, Swarm,
};
use serde_json::{json, Value};

use crate::{address_texts, emit, streams, Behaviour, BehaviourEvent};

type Failure = Box<dyn Error + Send + Sync>;

/// Whom to answer, and since when they wait.
struct Asker {
    tag: Value,
    started: Instant,
}

impl Asker {
    fn emit(&self, mut result: Value) {
        result["tag"] = self.tag.clone();
        emit(result);
    }

    fn end(&self, outcome: Result<(), String>) {
        let result = if outcome.is_ok() { "ok" } else { "failed" };
        if let Err(message) = outcome {
            self.emit(json!({"type": "error", "error": "failed", "message": message}));
        }
        let elapsed = self.started.elapsed().as_millis() as u64;
        self.emit(json!({"type": "end", "result": result, "elapsed_ms": elapsed}));
    }
}

/// What a query's events do not tell about what was asked.
enum Goal {
    ThePeer(PeerId),
    /// The providers so far: they are answered at the end, when the query has
    /// been to each and thus found an address that works.
    Providers(BTreeSet<PeerId>),
    Whatever,
}

enum Wait {
    Connection,
    Ping,
}

enum Started {
    Query(QueryId, Goal),
    Wait(PeerId, Wait),
    /// What this node's own store has.
    Held(Option<kad::Record>),
    Done,
}

pub struct Node {
    pub swarm: Swarm<Behaviour>,
    protocol: StreamProtocol,
    queries: HashMap<QueryId, (Asker, Goal)>,
    waits: Vec<(PeerId, Wait, Asker)>,
    /// Addresses that worked or that their owner told: the events of a query
    /// for providers name ids only.
    addresses: HashMap<PeerId, BTreeSet<Multiaddr>>,
}

fn text<'a>(request: &'a Value, field: &str) -> Result<&'a str, Failure> {
    request[field]
        .as_str()
        .ok_or(format!("{field} is missing").into())
}

fn bytes(request: &Value, field: &str) -> Result<Vec<u8>, Failure> {
    Ok(hex::decode(text(request, field)?.trim_start_matches("0x"))?)
}

fn hex_text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn peer_of(address: &Multiaddr) -> Result<PeerId, Failure> {
    match address.iter().last() {
        Some(Protocol::P2p(id)) => Ok(id),
        _ => Err(format!("{address} names no peer").into()),
    }
}

fn peer_at(request: &Value) -> Result<PeerId, Failure> {
    peer_of(&text(request, "addr")?.parse()?)
}

impl Node {
    pub fn new(swarm: Swarm<Behaviour>, protocol: StreamProtocol) -> Self {
        Node {
            swarm,
            protocol,
            queries: HashMap::new(),
            waits: Vec::new(),
            addresses: HashMap::new(),
        }
    }

    pub fn report_ready(&self) {
        emit(json!({"type": "ready", "peers": self.swarm.connected_peers().count()}));
    }

    pub fn knows_a_server(&mut self) -> bool {
        self.swarm
            .behaviour_mut()
            .kad
            .kbuckets()
            .any(|bucket| !bucket.is_empty())
    }

    pub fn start(&mut self, request: &Value) {
        let asker = Asker {
            tag: request["tag"].clone(),
            started: Instant::now(),
        };
        let started = match request["op"].as_str() {
            Some("connect") => self.start_wait(request, Wait::Connection),
            Some("ping") => self.start_wait(request, Wait::Ping),
            Some("listen") => self.listen(request),
            Some("handle") => self.handle(request),
            Some(op) if streams::knows(op) => {
                self.start_streams(request.clone(), asker);
                return;
            }
            _ => self.start_query(request),
        };
        match started {
            Ok(Started::Query(id, goal)) => {
                self.queries.insert(id, (asker, goal));
            }
            Ok(Started::Wait(peer, wait)) => self.waits.push((peer, wait, asker)),
            Ok(Started::Held(Some(record))) => {
                answer_value(&asker, record, None);
                asker.end(Ok(()));
            }
            Ok(Started::Held(None)) => asker.end(Err("not found".into())),
            Ok(Started::Done) => asker.end(Ok(())),
            Err(error) => asker.end(Err(error.to_string())),
        }
    }

    /// Listens at one more address, of which others are told.
    fn listen(&mut self, request: &Value) -> Result<Started, Failure> {
        self.swarm.listen_on(text(request, "addr")?.parse()?)?;
        Ok(Started::Done)
    }

    /// Takes one more protocol, of which others are told.
    fn handle(&mut self, request: &Value) -> Result<Started, Failure> {
        let protocol = StreamProtocol::try_from_owned(text(request, "protocol")?.into())?;
        let mut control = self.swarm.behaviour().stream.new_control();
        let mut streams = control.accept(protocol).map_err(|e| e.to_string())?;
        tokio::spawn(async move { while streams.next().await.is_some() {} });
        Ok(Started::Done)
    }

    fn start_streams(&mut self, request: Value, asker: Asker) {
        let control = self.swarm.behaviour().stream.new_control();
        tokio::spawn(async move {
            let outcome = match peer_at(&request) {
                Ok(peer) => streams::perform(control, peer, request).await,
                Err(error) => Err(error),
            };
            if let Ok(Some(result)) = &outcome {
                asker.emit(result.clone());
            }
            asker.end(outcome.map(|_| ()).map_err(|e| e.to_string()));
        });
    }

    fn start_wait(&mut self, request: &Value, wait: Wait) -> Result<Started, Failure> {
        let address: Multiaddr = text(request, "addr")?.parse()?;
        let peer = peer_of(&address)?;
        if !self.swarm.is_connected(&peer) {
            self.swarm.dial(address)?;
        } else if matches!(wait, Wait::Connection) {
            return Ok(Started::Done);
        }
        Ok(Started::Wait(peer, wait))
    }

    fn start_query(&mut self, request: &Value) -> Result<Started, Failure> {
        let op = text(request, "op")?;
        let kad = &mut self.swarm.behaviour_mut().kad;
        if op == "find-peer" {
            let peer: PeerId = text(request, "peer")?.parse()?;
            return Ok(Started::Query(
                kad.get_closest_peers(peer),
                Goal::ThePeer(peer),
            ));
        }
        let key = bytes(request, "key")?;
        let record_key = RecordKey::new(&key);
        if op == "local" {
            return Ok(Started::Held(
                kad.store_mut().get(&record_key).map(Cow::into_owned),
            ));
        }
        if op == "find-providers" {
            let goal = Goal::Providers(BTreeSet::new());
            return Ok(Started::Query(kad.get_providers(record_key), goal));
        }
        let query = match op {
            "closest" => kad.get_closest_peers(key),
            "put" => {
                let mut record = kad::Record::new(record_key, bytes(request, "value")?);
                record.expires = request["ttl_s"]
                    .as_u64()
                    .map(|ttl| Instant::now() + Duration::from_secs(ttl));
                kad.put_record(record, Quorum::One)?
            }
            "get" => kad.get_record(record_key),
            "provide" => kad.start_providing(record_key)?,
            _ => return Err(format!("unknown operation {op}").into()),
        };
        Ok(Started::Query(query, Goal::Whatever))
    }

    pub fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } => self.on_connected(peer_id, endpoint),
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => {
                for (_, _, asker) in self.take_waits(|to, _| *to == peer) {
                    asker.end(Err(error.to_string()));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.on_identified(peer_id, info),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
                let waits =
                    self.take_waits(|to, wait| *to == event.peer && matches!(wait, Wait::Ping));
                for (_, _, asker) in waits {
                    answer_ping(&asker, &event.result);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result,
                step,
                ..
            })) => self.on_progress(id, result, step.last),
            _ => {}
        }
    }

    fn take_waits(
        &mut self,
        wanted: impl Fn(&PeerId, &Wait) -> bool,
    ) -> Vec<(PeerId, Wait, Asker)> {
        let (taken, kept) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|(to, wait, _)| wanted(to, wait));
        self.waits = kept;
        taken
    }

    fn on_connected(&mut self, peer: PeerId, endpoint: ConnectedPoint) {
        if let ConnectedPoint::Dialer { address, .. } = endpoint {
            self.addresses.entry(peer).or_default().insert(address);
        }
        let waits = self.take_waits(|to, wait| *to == peer && matches!(wait, Wait::Connection));
        for (_, _, asker) in waits {
            asker.end(Ok(()));
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let protocols: Vec<&str> = info.protocols.iter().map(AsRef::as_ref).collect();
        emit(json!({
            "type": "identified",
            "id": peer.to_string(),
            "agent": info.agent_version,
            "protocols": protocols,
            "addrs": address_texts(&info.listen_addrs),
            "observed": info.observed_addr.to_string(),
        }));
        // Kademlia learns of a peer that dialled us from its owner only.
        if info.protocols.contains(&self.protocol) {
            for address in &info.listen_addrs {
                self.swarm
                    .behaviour_mut()
                    .kad
                    .add_address(&peer, address.clone());
            }
        }
        self.addresses
            .entry(peer)
            .or_default()
            .extend(info.listen_addrs);
    }

    fn on_progress(&mut self, id: QueryId, result: QueryResult, last: bool) {
        // The table's own refreshes have no asker.
        let Some((asker, mut goal)) = self.queries.remove(&id) else {
            return;
        };
        let outcome = self.take_result(id, &asker, &mut goal, result);
        if !last {
            self.queries.insert(id, (asker, goal));
            return;
        }
        if let Goal::Providers(providers) = goal {
            for provider in providers {
                self.answer_peer(&asker, "provider", provider, Vec::new());
            }
        }
        asker.end(outcome);
    }

    fn take_result(
        &mut self,
        id: QueryId,
        asker: &Asker,
        goal: &mut Goal,
        result: QueryResult,
    ) -> Result<(), String> {
        match (goal, result) {
            (Goal::ThePeer(peer), QueryResult::GetClosestPeers(Ok(found))) => {
                let found = found.peers.into_iter().find(|p| p.peer_id == *peer);
                let found = found.ok_or("not found")?;
                self.answer_peer(asker, "peer", found.peer_id, found.addrs);
            }
            (_, QueryResult::GetClosestPeers(found)) => {
                for peer in found.map_err(|e| e.to_string())?.peers {
                    self.answer_peer(asker, "peer", peer.peer_id, peer.addrs);
                }
            }
            (_, QueryResult::PutRecord(done)) => {
                done.map_err(|e| e.to_string())?;
            }
            (_, QueryResult::StartProviding(done)) => {
                done.map_err(|e| e.to_string())?;
            }
            (_, QueryResult::GetRecord(found)) => {
                if let GetRecordOk::FoundRecord(found) = found.map_err(|e| e.to_string())? {
                    answer_value(asker, found.record, found.peer);
                    self.finish(id);
                }
            }
            (Goal::Providers(providers), QueryResult::GetProviders(found)) => {
                if let GetProvidersOk::FoundProviders { providers: new, .. } =
                    found.map_err(|e| e.to_string())?
                {
                    providers.extend(new);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, id: QueryId) {
        if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
            query.finish();
        }
    }

    fn answer_peer(&self, asker: &Asker, kind: &str, peer: PeerId, mut told: Vec<Multiaddr>) {
        if told.is_empty() {
            told = self
                .addresses
                .get(&peer)
                .into_iter()
                .flatten()
                .cloned()
                .collect();
        }
        asker.emit(json!({"type": kind, "id": peer.to_string(), "addrs": address_texts(&told)}));
    }
}

fn answer_ping(asker: &Asker, result: &Result<Duration, ping::Failure>) {
    match result {
        Ok(time) => {
            asker.emit(json!({"type": "pong", "rtt_ms": time.as_secs_f64() * 1000.0}));
            asker.end(Ok(()));
        }
        Err(failure) => asker.end(Err(failure.to_string())),
    }
}

fn answer_value(asker: &Asker, record: kad::Record, from: Option<PeerId>) {
    let left = record
        .expires
        .map(|expires| expires.saturating_duration_since(Instant::now()).as_secs());
    asker.emit(json!({
        "type": "value",
        "key": hex_text(record.key.as_ref()),
        "value": hex_text(&record.value),
        "from": from.map(|id| id.to_string()),
        "publisher": record.publisher.map(|id| id.to_string()),
        "ttl_s": left.unwrap_or(0),
    }));
}

//! A rust-libp2p node under the control protocol of ../README.md.

mod operations;
mod served;
mod streams;

use std::{error::Error, time::Duration};

use futures::{future::Either, AsyncRead, AsyncWrite, StreamExt};
use libp2p::{
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, Transport},
        upgrade::Version,
    },
    identify,
    identity::{ecdsa, ed25519, secp256k1, Keypair},
    kad, noise, ping,
    pnet::{PnetConfig, PnetError, PnetOutput, PreSharedKey},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux, Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
};
use serde_json::{json, Value};
use tokio::io::{stdin, AsyncBufReadExt, BufReader};

use operations::Node;

/// An operation `ping` waits for the next regular ping of its connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// By default there are fewer than are tried at once.
const MAX_STREAMS: usize = 2048;

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
    ping: ping::Behaviour,
    served: served::Behaviour,
    stream: libp2p_stream::Behaviour,
}

struct Settings {
    protocol: String,
    mode: kad::Mode,
    tls: bool,
    swarm_key: Option<PreSharedKey>,
    key: Keypair,
    bootstrap: Vec<Multiaddr>,
}

fn parse_settings() -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings {
        protocol: "/ipfs/kad/1.0.0".into(),
        mode: kad::Mode::Server,
        tls: false,
        swarm_key: None,
        key: ed25519::Keypair::generate().into(),
        bootstrap: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or(format!("{flag} needs a value"))?;
        match (flag.as_str(), value.as_str()) {
            ("--protocol", _) => settings.protocol = value,
            ("--mode", "server") => settings.mode = kad::Mode::Server,
            ("--mode", "client") => settings.mode = kad::Mode::Client,
            ("--security", "noise") => settings.tls = false,
            ("--security", "tls") => settings.tls = true,
            ("--swarm-key", path) => {
                settings.swarm_key = Some(std::fs::read_to_string(path)?.parse()?)
            }
            // This library makes no RSA keys, it reads them.
            ("--rsa-key", path) => {
                settings.key = Keypair::rsa_from_pkcs8(&mut std::fs::read(path)?)?
            }
            ("--key-type", "ed25519") => settings.key = ed25519::Keypair::generate().into(),
            ("--key-type", "secp256k1") => settings.key = secp256k1::Keypair::generate().into(),
            ("--key-type", "ecdsa") => settings.key = ecdsa::Keypair::generate().into(),
            ("--bootstrap", _) => settings.bootstrap.push(value.parse()?),
            _ => return Err(format!("cannot use {flag} {value}").into()),
        }
    }
    Ok(settings)
}

fn new_behaviour(key: &Keypair, protocol: StreamProtocol, mode: kad::Mode) -> Behaviour {
    let id = key.public().to_peer_id();
    let store = kad::store::MemoryStore::new(id);
    let mut kad = kad::Behaviour::with_config(id, store, kad::Config::new(protocol));
    kad.set_mode(Some(mode));
    Behaviour {
        identify: identify::Behaviour::new(
            identify::Config::new("ipfs/0.1.0".into(), key.public())
                .with_push_listen_addr_updates(true),
        ),
        kad,
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
        served: served::Behaviour {
            protocols: streams::PROTOCOLS,
            serve: streams::serve,
        },
        stream: libp2p_stream::Behaviour::new(),
    }
}

fn yamux() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    config
}

/// What passes below the security: the bytes as they are, or those of a private network.
async fn protect<S>(
    key: Option<PreSharedKey>,
    socket: S,
) -> Result<Either<PnetOutput<S>, S>, PnetError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match key {
        Some(key) => Ok(Either::Left(PnetConfig::new(key).handshake(socket).await?)),
        None => Ok(Either::Right(socket)),
    }
}

/// The transport's type depends on the security, which is why there are two chains.
fn new_transport(settings: &Settings) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Box<dyn Error>> {
    let swarm_key = settings.swarm_key;
    let upgrade = tcp::tokio::Transport::new(tcp::Config::default())
        .and_then(move |socket, _| protect(swarm_key, socket))
        .upgrade(Version::V1);
    Ok(if settings.tls {
        let tls = tls::Config::new(&settings.key)?;
        upgrade.authenticate(tls).multiplex(yamux()).boxed()
    } else {
        let noise = noise::Config::new(&settings.key)?;
        upgrade.authenticate(noise).multiplex(yamux()).boxed()
    })
}

fn new_swarm(
    settings: &Settings,
    protocol: StreamProtocol,
) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let transport = new_transport(settings)?;
    Ok(SwarmBuilder::with_existing_identity(settings.key.clone())
        .with_tokio()
        .with_other_transport(|_| transport)?
        .with_behaviour(|key| new_behaviour(key, protocol, settings.mode))?
        .build())
}

pub fn emit(message: Value) {
    println!("{message}");
}

pub fn address_texts(addresses: &[Multiaddr]) -> Vec<String> {
    addresses.iter().map(Multiaddr::to_string).collect()
}

async fn listen(swarm: &mut Swarm<Behaviour>) -> Result<(), Box<dyn Error>> {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    // A provider announces its confirmed external addresses and no others.
    swarm.add_external_address(address.clone());
    let id = *swarm.local_peer_id();
    let address = address
        .with_p2p(id)
        .map_err(|a| format!("odd address {a}"))?;
    emit(json!({"type": "listening", "id": id.to_string(), "addrs": [address.to_string()]}));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = parse_settings()?;
    let protocol = StreamProtocol::try_from_owned(settings.protocol.clone())?;
    let mut swarm = new_swarm(&settings, protocol.clone())?;
    listen(&mut swarm).await?;
    for address in &settings.bootstrap {
        swarm.dial(address.clone())?;
    }

    let mut node = Node::new(swarm, protocol);
    let mut joined = settings.bootstrap.is_empty();
    if joined {
        node.report_ready();
    }
    let mut requests = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            line = requests.next_line() => match line? {
                Some(line) => node.start(&serde_json::from_str(&line)?),
                None => return Ok(()),
            },
            event = node.swarm.select_next_some() => {
                node.on_event(event);
                if !joined && node.knows_a_server() {
                    joined = true;
                    node.report_ready();
                }
            }
        }
    }
}

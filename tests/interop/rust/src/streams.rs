//! Streams of protocols of our own: what the node serves, and what it can be asked to try.

use std::{
    io,
    time::{Duration, Instant},
};

use futures::{
    future::{try_join, try_join_all},
    AsyncReadExt, AsyncWriteExt,
};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::Control;
use serde_json::{json, Value};

use crate::emit;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sends back what comes until its end, then ends too.
const ECHO: &str = "/kadmium/echo/1.0.0";
/// Reads to the end, and only then says how many bytes there were.
const COUNT: &str = "/kadmium/count/1.0.0";
/// Reads and never says anything.
const HOLD: &str = "/kadmium/hold/1.0.0";
/// Resets; this library has no codes for it.
const RESET: &str = "/kadmium/reset/1.0.0";

pub const PROTOCOLS: &[StreamProtocol] = &[
    StreamProtocol::new(ECHO),
    StreamProtocol::new(COUNT),
    StreamProtocol::new(HOLD),
    StreamProtocol::new(RESET),
];

const PIECE_SIZE: usize = 64 * 1024;
/// The length of the pattern is prime, so that a piece in a wrong place is noticed.
const PATTERN_LENGTH: usize = 65521;

/// The same in all programs, and so much longer that any piece of it lies within.
fn make_pattern() -> Vec<u8> {
    let mut state = 1u32;
    let mut made: Vec<u8> = (0..PATTERN_LENGTH)
        .map(|_| {
            state = state.wrapping_mul(1103515245).wrapping_add(12345);
            (state >> 24) as u8
        })
        .collect();
    made.extend_from_within(..);
    made.extend_from_within(..PIECE_SIZE);
    made
}

fn pattern_at(pattern: &[u8], at: usize, length: usize) -> &[u8] {
    &pattern[at % PATTERN_LENGTH..][..length]
}

// ---- what is served ----

pub fn serve(remote: PeerId, protocol: StreamProtocol, mut stream: Stream) {
    tokio::spawn(async move {
        let reset = match protocol.as_ref() {
            ECHO => serve_echo(&mut stream).await,
            COUNT => serve_count(&mut stream).await,
            HOLD => serve_hold(&mut stream).await,
            _ => {
                // Dropping it is what resets.
                let _ = stream.read(&mut [0; 10]).await;
                false
            }
        };
        if reset {
            emit(json!({"type": "stream_reset", "id": remote.to_string(), "code": 0}));
        }
    });
}

/// A reset reads as an end; but to a stream that merely ended one can write.
async fn was_reset(stream: &mut Stream) -> bool {
    stream.write(&[]).await.is_err()
}

async fn serve_echo(stream: &mut Stream) -> bool {
    let mut piece = vec![0; PIECE_SIZE];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(n) if stream.write_all(&piece[..n]).await.is_ok() => {}
            _ => return true,
        }
        if stream.flush().await.is_err() {
            return true;
        }
    }
    was_reset(stream).await || stream.close().await.is_err()
}

async fn count(stream: &mut Stream) -> io::Result<usize> {
    let mut piece = vec![0; PIECE_SIZE];
    let mut total = 0;
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(total),
            n => total += n,
        }
    }
}

async fn serve_count(stream: &mut Stream) -> bool {
    let Ok(total) = count(stream).await else {
        return true;
    };
    let text = total.to_string();
    stream.write_all(text.as_bytes()).await.is_err() || stream.close().await.is_err()
}

async fn serve_hold(stream: &mut Stream) -> bool {
    count(stream).await.is_err() || was_reset(stream).await
}

// ---- what is asked ----

fn number(request: &Value, field: &str, otherwise: u64) -> u64 {
    request[field].as_u64().unwrap_or(otherwise)
}

async fn open(control: &mut Control, peer: PeerId, name: &'static str) -> Result<Stream, Failure> {
    Ok(control.open_stream(peer, StreamProtocol::new(name)).await?)
}

/// True when `perform` knows the operation.
pub fn knows(operation: &str) -> bool {
    ["echo", "count", "reset", "be-reset", "deadline"].contains(&operation)
}

/// The result of an operation, if it has one besides that it went well.
pub async fn perform(
    mut control: Control,
    peer: PeerId,
    request: Value,
) -> Result<Option<Value>, Failure> {
    let length = number(&request, "bytes", 0) as usize;
    match request["op"].as_str().unwrap_or_default() {
        "echo" => echo(control, peer, number(&request, "streams", 1), length).await,
        "count" => ask_count(open(&mut control, peer, COUNT).await?, length).await,
        "reset" => reset(open(&mut control, peer, ECHO).await?).await,
        "be-reset" => {
            let code = number(&request, "code", 0);
            be_reset(open(&mut control, peer, RESET).await?, code).await
        }
        _ => {
            let time = Duration::from_millis(number(&request, "ms", 1000));
            deadline(open(&mut control, peer, HOLD).await?, time).await
        }
    }
}

/// Opens all streams before it uses the first.
async fn echo(
    mut control: Control,
    peer: PeerId,
    streams: u64,
    length: usize,
) -> Result<Option<Value>, Failure> {
    let mut opened = Vec::new();
    for _ in 0..streams {
        opened.push(open(&mut control, peer, ECHO).await?);
    }
    let pattern = make_pattern();
    try_join_all(opened.into_iter().map(|s| echo_on(s, &pattern, length))).await?;
    Ok(Some(
        json!({"type": "echoed", "streams": streams, "bytes": length}),
    ))
}

/// Reads while it writes: neither side could take it all otherwise.
async fn echo_on(stream: Stream, pattern: &[u8], length: usize) -> io::Result<()> {
    let (mut read, mut write) = stream.split();
    let writing = async {
        for at in (0..length).step_by(PIECE_SIZE) {
            let piece = pattern_at(pattern, at, PIECE_SIZE.min(length - at));
            write.write_all(piece).await?;
        }
        write.close().await
    };
    let reading = async {
        let mut piece = vec![0; PIECE_SIZE.min(length + 1)];
        let mut at = 0;
        loop {
            let n = read.read(&mut piece).await?;
            if piece[..n] != *pattern_at(pattern, at, n) {
                return Err(io::Error::other(format!("wrong bytes within {n} of {at}")));
            }
            at += n;
            match n {
                0 if at == length => return Ok(()),
                0 => return Err(io::Error::other(format!("{at} of {length} bytes"))),
                _ => {}
            }
        }
    };
    try_join(writing, reading).await.map(|_| ())
}

/// Shows that the end of what we write is seen while the other side is open.
async fn ask_count(mut stream: Stream, length: usize) -> Result<Option<Value>, Failure> {
    let pattern = make_pattern();
    for at in (0..length).step_by(PIECE_SIZE) {
        let piece = pattern_at(&pattern, at, PIECE_SIZE.min(length - at));
        stream.write_all(piece).await?;
    }
    stream.close().await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let counted: usize = text.parse()?;
    Ok(Some(json!({"type": "counted", "bytes": counted})))
}

/// Resets a stream that works, by dropping it.
async fn reset(mut stream: Stream) -> Result<Option<Value>, Failure> {
    let mut one = [0];
    stream.write_all(&one).await?;
    stream.flush().await?;
    stream.read_exact(&mut one).await?;
    Ok(None)
}

async fn be_reset(mut stream: Stream, code: u64) -> Result<Option<Value>, Failure> {
    stream.write_all(format!("{code:<10}").as_bytes()).await?;
    stream.flush().await?;
    if count(&mut stream).await.is_ok() && !was_reset(&mut stream).await {
        return Err("no reset, but the end".into());
    }
    Ok(Some(json!({"type": "stream_reset", "code": 0})))
}

async fn deadline(mut stream: Stream, time: Duration) -> Result<Option<Value>, Failure> {
    let started = Instant::now();
    stream.write_all(&[0]).await?;
    stream.flush().await?;
    match tokio::time::timeout(time, count(&mut stream)).await {
        Err(_) => {
            let elapsed = started.elapsed().as_millis() as u64;
            Ok(Some(json!({"type": "timed_out", "after_ms": elapsed})))
        }
        Ok(end) => Err(format!("no time-out, but {end:?}").into()),
    }
}

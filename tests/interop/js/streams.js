// Streams of protocols of our own: what the node serves, and what it can be asked to try.
import { StreamResetError } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'

// Sends back what comes until its end, then ends too.
const ECHO = '/kadmium/echo/1.0.0'
// Reads to the end, and only then says how many bytes there were.
const COUNT = '/kadmium/count/1.0.0'
// Reads and never says anything.
const HOLD = '/kadmium/hold/1.0.0'
// Resets; this library has no codes for it.
const RESET = '/kadmium/reset/1.0.0'

const PIECE_SIZE = 64 * 1024
const TIMEOUT_MS = 120_000
export const MAX_STREAMS = 2048

// The same in all programs: its length is prime, so that a piece in a wrong place is noticed.
const PATTERN_LENGTH = 65521
const PATTERN = makePattern(PATTERN_LENGTH + PIECE_SIZE)

function makePattern (length) {
  const made = Buffer.alloc(length)
  let state = 1
  for (let i = 0; i < PATTERN_LENGTH; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    made[i] = state >>> 24
  }
  made.copy(made, PATTERN_LENGTH, 0)
  return made
}

function patternAt (at, length) {
  const start = at % PATTERN_LENGTH
  return PATTERN.subarray(start, start + length)
}

// The stream's own iterator never ends when the other side had ended before it began.
async function * chunksOf (stream) {
  const queue = []
  let wake
  let ended = stream.readableEnded
  const changed = () => wake?.()
  stream.addEventListener('message', ({ data }) => {
    queue.push(data)
    changed()
  })
  for (const end of ['end', 'close']) {
    stream.addEventListener(end, () => {
      ended = true
      changed()
    })
  }
  while (!ended || queue.length > 0) {
    if (queue.length === 0) {
      await new Promise(resolve => { wake = resolve })
      continue
    }
    yield * queue.splice(0)
  }
  if (stream.status === 'reset') {
    throw new StreamResetError()
  }
}

async function send (stream, bytes) {
  if (!stream.send(bytes)) {
    await stream.onDrain({ signal: AbortSignal.timeout(TIMEOUT_MS) })
  }
}

async function sendPattern (stream, length) {
  for (let at = 0; at < length; at += PIECE_SIZE) {
    await send(stream, patternAt(at, Math.min(PIECE_SIZE, length - at)))
  }
  await stream.close()
}

async function checkPattern (stream, length) {
  let at = 0
  for await (const chunk of chunksOf(stream)) {
    for (const part of chunk instanceof Uint8Array ? [chunk] : chunk) {
      for (let from = 0; from < part.length; from += PIECE_SIZE) {
        const piece = part.subarray(from, from + PIECE_SIZE)
        if (patternAt(at, piece.length).compare(piece) !== 0) {
          throw new Error(`wrong bytes within ${piece.length} of ${at}`)
        }
        at += piece.length
      }
    }
  }
  if (at !== length) {
    throw new Error(`${at} of ${length} bytes`)
  }
}

async function count (stream) {
  let total = 0
  for await (const chunk of chunksOf(stream)) {
    total += chunk.byteLength
  }
  return total
}

export async function serveStreams (node, emit) {
  const reported = serve => async (stream, connection) => {
    try {
      await serve(stream)
    } catch (error) {
      if (error.name === 'StreamResetError') {
        emit({ type: 'stream_reset', id: String(connection.remotePeer), code: 0 })
      }
      stream.abort(error)
    }
  }
  const protocols = {
    [ECHO]: reported(async stream => {
      for await (const chunk of chunksOf(stream)) {
        await send(stream, chunk)
      }
      await stream.close()
    }),
    [COUNT]: reported(async stream => {
      const total = await count(stream)
      await send(stream, Buffer.from(String(total)))
      await stream.close()
    }),
    [HOLD]: reported(count),
    [RESET]: async stream => {
      for await (const _ of chunksOf(stream)) { // eslint-disable-line no-unused-vars
        stream.abort(new Error('as asked'))
        return
      }
    }
  }
  for (const [protocol, handler] of Object.entries(protocols)) {
    await node.handle(protocol, handler, {
      maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS
    })
  }
}

export function streamOperations (node) {
  const open = (addr, protocol) => node.dialProtocol(multiaddr(addr), protocol, {
    signal: AbortSignal.timeout(TIMEOUT_MS)
  })

  return {
    // Opens all streams before it uses the first.
    async * echo ({ addr, bytes, streams = 1 }) {
      await node.dial(multiaddr(addr))
      const opened = await Promise.all(Array.from({ length: streams }, () => open(addr, ECHO)))
      await Promise.all(opened.flatMap(stream => [
        checkPattern(stream, bytes), sendPattern(stream, bytes)]))
      yield { type: 'echoed', streams, bytes }
    },

    // Shows that the end of what we write is seen while the other side is open.
    async * count ({ addr, bytes }) {
      const stream = await open(addr, COUNT)
      const answer = (async () => {
        let text = ''
        for await (const chunk of chunksOf(stream)) {
          text += Buffer.from(chunk.subarray()).toString()
        }
        return Number(text)
      })()
      await sendPattern(stream, bytes)
      yield { type: 'counted', bytes: await answer }
    },

    // Resets a stream that works.
    async * reset ({ addr }) {
      const stream = await open(addr, ECHO)
      stream.send(patternAt(0, 1))
      for await (const _ of chunksOf(stream)) { // eslint-disable-line no-unused-vars
        break
      }
      stream.abort(new Error('as asked'))
    },

    async * 'be-reset' ({ addr, code }) {
      const stream = await open(addr, RESET)
      stream.send(Buffer.from(String(code).padEnd(10)))
      try {
        await count(stream)
      } catch (error) {
        if (error.name === 'StreamResetError') {
          yield { type: 'stream_reset', code: 0 }
          return
        }
        throw error
      }
      throw new Error('no reset, but the end')
    },

    async * deadline ({ addr, ms }) {
      const stream = await open(addr, HOLD)
      const started = performance.now()
      stream.send(patternAt(0, 1))
      const timeout = new Promise(resolve => setTimeout(resolve, ms, 'timeout'))
      const first = await Promise.race([timeout, count(stream).catch(error => error)])
      if (first !== 'timeout') {
        throw new Error(`no time-out, but ${first}`)
      }
      stream.abort(new Error('as long as we wait'))
      yield { type: 'timed_out', after_ms: Math.round(performance.now() - started) }
    },

    async * handle ({ protocol }) {
      await node.handle(protocol, stream => stream.abort(new Error('nothing is done here')))
    }
  }
}

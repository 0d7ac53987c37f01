//! CompressionStream and DecompressionStream, and what they may cost.

use std::io::{Read, Write};

use caddis_tests::{Reply, Server};
use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::{Method, StatusCode};
use serde_json::json;

use crate::{failed, start};

/// Answers with the body of the request, sent through the stream that the query names: `?DecompressionStream=gzip`.
const THROUGH: &str = "export default async (request) => {
    const [[name, format]] = new URL(request.url).searchParams;
    const stream = new globalThis[name](format);
    if (request.method === 'PUT') return new Response(await new Response(request.body.pipeThrough(stream)).bytes());
    return new Response(request.body.pipeThrough(stream));
}";

async fn deploy(server: &Server, code: &str) -> Reply {
    let body =
        json!({"name": "f", "code": code, "enabled": true, "access": {"policy": "public"}, "memory_limit_mb": 64});
    server.admin().manage(Method::POST, "/functions").json(&body).send().await
}

async fn send(server: &Server, method: Method, query: &str, body: &[u8]) -> Reply {
    server.anonymous().invoke(method, "f", &format!("/?{query}")).body(body.to_vec()).send().await
}

fn unpacked(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_packed_and_unpacked_as_they_stream() {
    let server = start().await;
    deploy(&server, THROUGH).await.expect(StatusCode::CREATED);
    let text: Vec<u8> = (0..400_000_u32).flat_map(|n| (n % 1_000).to_string().into_bytes()).collect();
    for format in ["gzip", "deflate", "deflate-raw"] {
        let packed =
            send(&server, Method::POST, &format!("CompressionStream={format}"), &text).await.expect(StatusCode::OK);
        assert!(packed.body.len() < text.len() / 4, "{format}: {}", packed.body.len());
        let decoded = match format {
            "gzip" => unpacked(GzDecoder::new(&packed.body[..])),
            "deflate" => unpacked(ZlibDecoder::new(&packed.body[..])),
            _ => unpacked(DeflateDecoder::new(&packed.body[..])),
        };
        assert!(decoded == text, "{format}");
        let back = send(&server, Method::POST, &format!("DecompressionStream={format}"), &packed.body).await;
        assert!(back.expect(StatusCode::OK).body == text, "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_is_a_type_error() {
    let server = start().await;
    let code = "import { gzipSync } from 'node:zlib';
        const through = async (stream, chunks) => {
          const source = new ReadableStream({ start(c) { for (const chunk of chunks) c.enqueue(chunk); c.close() } });
          let text = '';
          try {
            for await (const chunk of source.pipeThrough(stream)) text += new TextDecoder().decode(chunk);
            return text;
          } catch (error) { return [text, error.name, error.message] }
        };
        const name = (f) => { try { return f() } catch (error) { return error.name } };
        export default async () => {
          const packed = gzipSync('hello');
          const unpack = (...chunks) => through(new DecompressionStream('gzip'), chunks);
          return Response.json([
            await unpack(packed), await unpack(...[...packed].map((byte) => Uint8Array.of(byte))), await unpack(packed, new Uint8Array(0)),
            await unpack(packed.subarray(0, 12)), await unpack(), await unpack(packed, Uint8Array.of(0)), await unpack(Buffer.concat([packed, packed])),
            await unpack(new Uint8Array(20)), await through(new CompressionStream('gzip'), ['text']),
            name(() => new CompressionStream('zip')), name(() => new DecompressionStream()),
            (await Promise.all(Array.from({ length: 20 }, (_, n) => unpack(gzipSync(String(n)))))).length,
          ]);
        }";
    deploy(&server, code).await.expect(StatusCode::CREATED);
    let early = "the compressed data ends too early";
    let left = "There is more data after the end of the compressed data";
    let expected = json!([
        "hello",
        "hello",
        "hello",
        ["h", "TypeError", early],
        ["", "TypeError", early],
        ["hello", "TypeError", left],
        ["hello", "TypeError", left],
        ["", "TypeError", "the compressed data is damaged: invalid gzip header"],
        ["", "TypeError", "A chunk is not an ArrayBuffer or a view of one"],
        "TypeError",
        "TypeError",
        20
    ]);
    assert_eq!(server.anonymous().get("f", "/").await.expect(StatusCode::OK).json(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_meets_the_memory_limit_of_the_function() {
    let server = start().await;
    deploy(&server, THROUGH).await.expect(StatusCode::CREATED);
    let bomb = gzip(&vec![0; 256 << 20]);
    // Read as a whole.
    failed(&send(&server, Method::PUT, "DecompressionStream=gzip", &bomb).await, 500, "memory_limit", "f");
    // The host is none the worse for it.
    let small = send(&server, Method::PUT, "DecompressionStream=gzip", &gzip(b"small")).await.expect(StatusCode::OK);
    assert_eq!(small.text(), "small");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_holds_no_codec_and_a_request_not_many() {
    let server = start().await;
    let early = "const stream = new CompressionStream('gzip'); const writer = stream.writable.getWriter();
        stream.readable.getReader().read(); await writer.write(new Uint8Array(1)); export default () => null";
    let refused = deploy(&server, early).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text());
    assert!(refused.text().contains("while the module is evaluated"), "{}", refused.text());
    let many = "export default async () => {
        const open = Array.from({ length: 17 }, () => new CompressionStream('gzip'));
        for (const { readable } of open) readable.getReader().read().catch(() => {});
        const results = await Promise.allSettled(open.map(({ writable }) => writable.getWriter().write(new Uint8Array(9))));
        return Response.json(results.map(({ status, reason }) => reason?.message ?? status));
    }";
    deploy(&server, many).await.expect(StatusCode::CREATED);
    let results = server.anonymous().get("f", "/").await.expect(StatusCode::OK).json();
    assert!(results.to_string().contains("16 compression streams"), "{results}");
}

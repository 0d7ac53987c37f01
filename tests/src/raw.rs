//! A connection on which a test decides every byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::within_patience;

/// A TCP connection to the server.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("the server accepts connections"))
    }

    /// Sends these bytes. A server that has closed already is no failure: what it said is still to be read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The result is what the server answers, which `rest` shows.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Closes this end for writing.
    pub async fn finish(&mut self) {
        // As in `send`.
        let _ = self.0.shutdown().await;
    }

    /// Reads until what came ends with `end`, and returns all of it.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        within_patience(end, async {
            while !seen.ends_with(end.as_bytes()) {
                let byte = self.0.read_u8().await.expect("the connection is open until the expected end");
                seen.push(byte);
            }
        })
        .await;
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Reads until the server closes the connection.
    pub async fn rest(&mut self) -> String {
        let mut seen = Vec::new();
        // A reset ends the connection as well as a close does.
        let _ = within_patience("the end of the connection", self.0.read_to_end(&mut seen)).await;
        String::from_utf8_lossy(&seen).into_owned()
    }
}

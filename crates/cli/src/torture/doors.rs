//! One address for the replicas of a service, as a service of Kubernetes is: each connection goes to one that takes it, in
//! turn, and ends with it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use common::Service;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// One for each service.
pub(super) struct Doors(BTreeMap<Service, Door>);

/// Those that are open. Dropped, they are closed.
pub(super) struct OpenDoors(#[expect(dead_code, reason = "held to be dropped")] Vec<AbortOnDropHandle<()>>);

impl Doors {
    /// Behind which nobody is yet.
    pub(super) async fn new() -> anyhow::Result<Self> {
        let mut doors = BTreeMap::new();
        for service in Service::ALL {
            doors.insert(service, Door::new().await?);
        }
        Ok(Self(doors))
    }

    /// Where they are.
    pub(super) fn urls(&self) -> anyhow::Result<BTreeMap<Service, Url>> {
        let urls = self.0.iter().map(|(service, door)| Ok((*service, door.url()?)));
        urls.collect()
    }

    /// Let callers through to the `replicas` of each.
    pub(super) fn open(
        self,
        replicas: impl Fn(Service) -> anyhow::Result<Vec<SocketAddr>>,
    ) -> anyhow::Result<OpenDoors> {
        let doors = self.0.into_iter();
        let open = doors.map(|(service, door)| Ok(door.open(replicas(service)?)));
        Ok(OpenDoors(open.collect::<anyhow::Result<_>>()?))
    }
}

struct Door(TcpListener);

impl Door {
    /// At a free port of this machine.
    async fn new() -> std::io::Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?))
    }

    fn url(&self) -> anyhow::Result<Url> {
        Ok(format!("http://{}/", self.0.local_addr()?).parse()?)
    }

    fn open(self, replicas: Vec<SocketAddr>) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.let_through(replicas)))
    }

    async fn let_through(self, mut replicas: Vec<SocketAddr>) {
        loop {
            // What goes wrong with a connection before it is ours is the caller's to see.
            if let Ok((caller, _)) = self.0.accept().await {
                tokio::spawn(carry(caller, replicas.clone()));
                replicas.rotate_left(1);
            }
        }
    }
}

/// Carry what both say until one of them ends it. Where none of `replicas` takes it, the caller's connection breaks.
async fn carry(mut caller: TcpStream, replicas: Vec<SocketAddr>) {
    for replica in replicas {
        if let Ok(mut called) = TcpStream::connect(replica).await {
            // Where it fails, answers are slower and no less right.
            let _ = (caller.set_nodelay(true), called.set_nodelay(true));
            // However it breaks off, both ends see it.
            let _ = copy_bidirectional(&mut caller, &mut called).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Somebody who says one letter to whoever comes.
    async fn saying(letter: u8) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                caller.write_all(&[letter]).await.unwrap();
            }
        });
        address
    }

    async fn heard(door: &Url) -> Vec<u8> {
        let address = door.socket_addrs(|| None).unwrap()[0];
        let mut said = Vec::new();
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Cut off, it has said nothing.
        let _ = stream.read_to_end(&mut said).await;
        said
    }

    /// A port at which nobody listens.
    async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn connections_go_to_the_replicas_in_turn() {
        let door = Door::new().await.unwrap();
        let url = door.url().unwrap();
        let _open = door.open(vec![saying(b'a').await, saying(b'b').await]);
        let all = [heard(&url).await, heard(&url).await, heard(&url).await];
        assert_eq!(all.concat(), b"aba");
    }

    #[tokio::test]
    async fn one_that_is_away_is_passed_over_and_without_any_the_connection_breaks() {
        let door = Door::new().await.unwrap();
        let url = door.url().unwrap();
        let _open = door.open(vec![nobody().await, saying(b'b').await]);
        assert_eq!([heard(&url).await, heard(&url).await].concat(), b"bb");
        let door = Door::new().await.unwrap();
        let url = door.url().unwrap();
        let _open = door.open(vec![nobody().await, nobody().await]);
        assert_eq!(heard(&url).await, b"");
    }
}

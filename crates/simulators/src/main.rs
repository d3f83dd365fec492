//! `simulators`: the outside world in a box, standing alone until Ctrl-C.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use simulators::{Listen, Targets, World, WorldSettings};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// HaloPSA, Entra (login, Graph, MFA), OpenAI, Teams and Twilio, simulated on their own wire protocols.
///
/// Ports: HaloPSA 9081, Entra 9082, OpenAI 9083, Teams 9084, Twilio 9085; each is scripted under `/_sim/`.
/// Prints the settings that our services need to use them, as NAME=value lines on standard output.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Ids, secrets and people follow from it: same seed, same world
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// Address to listen on
    #[arg(long, env = "SIM_LISTEN_IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen_ip: IpAddr,
    /// Take free ports instead of 9081 to 9085
    #[arg(long)]
    free_ports: bool,
    /// Host name by which the services reach the simulators
    #[arg(long, env = "SIM_ADVERTISE_HOST", default_value = "127.0.0.1")]
    advertise_host: String,
    /// The public address of our webhooks; vendors sign over it, and call it where no service below is given
    #[arg(long, env = "PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
    public_url: Url,
    /// Classifier: receives HaloPSA's webhooks
    #[arg(long, env = "CLASSIFIER_URL")]
    classifier_url: Option<Url>,
    /// Verification: receives Teams' activities and people's texts
    #[arg(long, env = "VERIFICATION_URL")]
    verification_url: Option<Url>,
    /// Delivery: receives Twilio's status callbacks
    #[arg(long, env = "DELIVERY_URL")]
    delivery_url: Option<Url>,
    /// Everybody has the Teams bot from the start
    #[arg(long)]
    bot_installed: bool,
    /// How long people take to answer, in milliseconds
    #[arg(long, env = "SIM_THINK_MS", default_value_t = 1500)]
    think_ms: u64,
    /// HaloPSA's limit of requests per five minutes; without it there is none
    #[arg(long, env = "SIM_HALO_RATE")]
    halo_rate: Option<u32>,
    /// Number of the first ticket
    #[arg(long, env = "SIM_FIRST_TICKET", default_value_t = 4243)]
    first_ticket: i64,
}

impl From<Arguments> for WorldSettings {
    fn from(given: Arguments) -> Self {
        let listen = if given.free_ports {
            Listen::ephemeral()
        } else {
            Listen::standard(given.listen_ip)
        };
        Self {
            seed: given.seed,
            listen,
            advertise_host: given.advertise_host,
            targets: Targets {
                classifier: given.classifier_url,
                verification: given.verification_url,
                delivery: given.delivery_url,
            },
            public_url: given.public_url,
            teams_auto_install: given.bot_installed,
            think: Duration::from_millis(given.think_ms),
            halo_rate_per_5min: given.halo_rate,
            first_ticket: given.first_ticket,
            ..Self::default()
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let world = World::start(Arguments::parse().into())
        .await
        .context("cannot start the simulators")?;
    announce(&world);
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C")?,
        _ = terminated.recv() => {}
    }
    world.shutdown().await;
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "the settings are what this program is asked for"
)]
fn announce(world: &World) {
    for (name, value) in world.settings_map().into_iter().chain(world.openai_settings()) {
        println!("{name}={value}");
    }
    let urls = world.urls();
    tracing::info!(
        halo = %urls.halo, entra = %urls.entra, openai = %urls.openai, teams = %urls.teams, twilio = %urls.twilio,
        "the world is up"
    );
}

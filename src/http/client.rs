//! Who is at the other end of the connection: address and browser.

use super::AppState;
use crate::service::{guesses::network_of, sessions::Device};
use actix_web::{HttpRequest, http::header, web};
use ipnet::IpNet;
use std::net::IpAddr;

/// Longest User-Agent that is kept.
const MAX_USER_AGENT: usize = 400;

/// The client's device, as activity and sessions note it.
pub fn device(request: &HttpRequest) -> Device {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Device {
        ip_address: address(request).map(|address| address.to_string()),
        user_agent: user_agent.unwrap_or_default().chars().take(MAX_USER_AGENT).collect(),
    }
}

/// The socket's address; behind configured proxies the rightmost forwarded hop that isn't one of them.
pub fn address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let state = request.app_data::<web::Data<AppState>>()?;
    let proxies = &state.services.config.server.trusted_proxies;
    if !is_trusted(proxies, peer) {
        return Some(peer);
    }
    let hops: Vec<_> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.into_iter().rev() {
        match hop.trim().parse::<IpAddr>() {
            Ok(address) if is_trusted(proxies, address) => {}
            Ok(address) => return Some(address),
            // A hop that is no address was not written by a proxy of ours.
            Err(_) => return Some(peer),
        }
    }
    Some(peer)
}

/// The network that the client counts with.
pub fn network(request: &HttpRequest) -> String {
    network_of(address(request))
}

fn is_trusted(proxies: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|net| net.contains(&address))
}

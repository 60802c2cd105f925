//! Messages on their way, with receivers that behave badly.

use std::time::Duration;

use exchange_client::{Courier, CourierError, HttpCourier, Parcel, Receipt, SecretText, SecretUrl, Secrets};
use tokio::net::TcpListener;

use crate::server::{Deed, Server};

/// However slow the machine, an answer of this process comes in that.
const PATIENCE: Duration = Duration::from_mins(1);
const HOOK: &str = "/hooks/T0K3Nabcdef0123456789abcdef0123456789";

async fn bring(base_url: &str, patience: Duration) -> Result<Receipt, CourierError> {
    let secrets = Secrets::default();
    let url = SecretUrl::new(&SecretText::new(format!("{base_url}{HOOK}")), &secrets).unwrap();
    let body = Some(("application/json", "{\"text\":\"hello\"}".to_owned()));
    HttpCourier::new(patience, secrets).unwrap().bring(Parcel { url, body }).await
}

#[tokio::test]
async fn a_parcel_is_not_sent_on() {
    let other = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", other.base_url);
    let server = Server::always(&answer).await;
    assert_eq!(bring(&server.base_url, PATIENCE).await.unwrap().status, 307);
    assert!(other.asked().is_empty());
    assert_eq!(server.asked(), [format!("POST {HOOK} HTTP/1.1")]);
}

#[tokio::test]
async fn what_is_answered_is_told_without_the_address() {
    let body = format!("no such hook: {HOOK}");
    let answer =
        format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: 17\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = Server::script([Deed::Answer(answer), Deed::HangUp]).await;
    let receipt = bring(&server.base_url, PATIENCE).await.unwrap();
    assert_eq!((receipt.status, receipt.retry_after_s), (429, Some(17)));
    assert!(receipt.body.starts_with("no such hook: ") && !receipt.body.contains("T0K3N"), "{}", receipt.body);
    let error = bring(&server.base_url, PATIENCE).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("T0K3N"), "{error:?}");
    let base_url = server.base_url.clone();
    server.stop().await;
    let error = bring(&base_url, PATIENCE).await.unwrap_err();
    assert!(error.reason.starts_with("no connection could be made"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("T0K3N"), "{error:?}");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let error = bring(&base_url, Duration::from_millis(200)).await.unwrap_err();
    assert!(error.reason.starts_with("there was no answer in time"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("T0K3N"), "{error:?}");
}

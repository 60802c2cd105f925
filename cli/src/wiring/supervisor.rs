//! What is told to the system's service manager, where one has started this process and wants to know (`Type=notify`).

use std::time::Duration;

use sd_notify::NotifyState;

/// The service does what it is for from now on.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// How it is, on a line.
pub(crate) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// It starts still, and how that stands; it may take so much longer from now on.
pub(crate) fn starting(patience: Duration, text: &str) {
    let usec = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(usec), NotifyState::Status(text)]);
}

/// It is ending.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It still moves.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Within how long it has to say so; `None` where nobody waits for it.
pub(crate) fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: &[NotifyState<'_>]) {
    // Nobody may listen, or not any more.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

//! How a service is told to end.

use tokio::sync::watch;

/// Ends whatever waits for its [`Stop`]. So does dropping it.
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<bool>);

/// Waits for the word to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl StopSwitch {
    /// A switch, and what waits for it.
    pub fn new() -> (Self, Stop) {
        let (switch, stop) = watch::channel(false);
        (Self(switch), Stop(stop))
    }

    /// Says that it is to end.
    pub fn stop(&self) {
        // Fails when nobody waits any more.
        let _ = self.0.send(true);
    }
}

impl Stop {
    /// Waits for the word. Dropping the future loses nothing.
    pub async fn wait(&mut self) {
        // An error says that the switch is gone: nobody could say the word any more.
        let _ = self.0.wait_for(|is_over| *is_over).await;
    }
}

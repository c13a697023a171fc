//! Says at the start of a pool what was found in its queue, and what may lose jobs there.

use crate::store::WorkQueue;

/// Nothing depends on it: where Redis does not answer it is left unsaid.
pub(super) async fn tell(queue: &WorkQueue) {
    let name = queue.name();
    let neighbours = match queue.neighbours().await {
        Ok(Some(neighbours)) => neighbours,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(queue = %name, %error, "cannot see who else works the queue");
            return;
        }
    };
    let shown = |worker: &String| if worker.is_empty() { "(no name)".to_owned() } else { worker.clone() };
    let workers: Vec<_> = neighbours.workers.iter().flatten().chain(&neighbours.hidden_workers).map(shown).collect();
    tracing::info!(
        queue = %name,
        opened_by = neighbours.version.as_deref().or(neighbours.library.as_deref()).unwrap_or_default(),
        workers = workers.join(", "),
        placement = neighbours.placement.as_str(),
        paused = neighbours.paused,
        "found the queue"
    );
    for warning in neighbours.warnings() {
        tracing::warn!(queue = %name, "{warning}");
    }
}

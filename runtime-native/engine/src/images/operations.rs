//! What is done to images, with its events. All of it blocks.

use std::collections::HashMap;

use creel_image::{ImageUse, RemoveOptions, Removed};
use creel_storage::Digest;

use super::{describe, filters, image_error};
use crate::engine::Engine;
use crate::error::Result;
use crate::proto;

impl Engine {
    /// The images that are asked for, newest first.
    pub fn image_list(&self, filters: &[proto::Filter], all: bool) -> Result<Vec<proto::Image>> {
        let filter = filters::parse(filters)?;
        let mut users: HashMap<String, i64> = HashMap::new();
        for container in self.containers.all() {
            *users.entry(container.definition().image_id.clone()).or_default() += 1;
        }
        let listed = self.images.store.list(&filter, all).map_err(image_error)?;
        let one = |summary: creel_image::ImageSummary| {
            let id = summary.id.to_string();
            // One that was removed just now is left out.
            let detail = self.images.store.inspect(&id).ok()?;
            let mut image = describe(&detail, users.get(&id).copied().unwrap_or(0));
            // A filter by reference also chooses among the names.
            image.repo_tags = summary.repo_tags;
            image.repo_digests = summary.repo_digests;
            Some(image)
        };
        Ok(listed.into_iter().filter_map(one).collect())
    }

    /// Everything about one image.
    pub fn image_inspect(&self, reference: &str) -> Result<proto::Image> {
        let detail = self.images.store.inspect(reference).map_err(image_error)?;
        let id = detail.image.id.to_string();
        let users = self
            .containers
            .all()
            .iter()
            .filter(|c| c.definition().image_id == id)
            .count();
        let mut image = describe(&detail, users as i64);
        let lines = self.images.store.history(&id).map_err(image_error)?;
        for (step, line) in image.history.iter_mut().rev().zip(lines) {
            step.size = line.size as i64;
        }
        if let Some(top) = detail.image.top_layer() {
            image.places = self.storage.layer_places(top).into_iter().collect();
        }
        Ok(image)
    }

    /// Gives an image another name.
    pub fn image_tag(&self, source: &str, target: &str) -> Result<String> {
        self.images.store.tag(source, target).map_err(image_error)?;
        let id = self.images.find(source)?.id.to_string();
        self.emit_image("tag", &id, target);
        Ok(id)
    }

    /// Removes a name of an image, and with its last one the image.
    pub fn image_remove(&self, request: &proto::RemoveImageRequest) -> Result<proto::RemoveImageReply> {
        let options = RemoveOptions {
            force: request.force,
            prune_parents: !request.no_prune,
        };
        let id = self.images.find(&request.r#ref)?.id.to_string();
        let before = self.images.store.layers_size();
        let steps = self
            .images
            .store
            .remove(&request.r#ref, options, &|id| self.image_use(id))
            .map_err(image_error)?;
        let mut reply = self.removed(&id, steps);
        reply.freed_bytes = before.saturating_sub(self.images.store.layers_size()) as i64;
        Ok(reply)
    }

    /// Removes images that nobody needs.
    pub fn image_prune(&self, request: &proto::PruneImagesRequest) -> Result<proto::RemoveImageReply> {
        let filter = filters::parse(&request.filters)?;
        let pruned = self
            .images
            .store
            .prune(&filter, request.all, &|id| self.image_use(id))
            .map_err(image_error)?;
        let mut reply = self.removed("", pruned.removed);
        reply.freed_bytes = pruned.reclaimed as i64;
        self.events.emit(
            "image",
            "prune",
            "",
            [("reclaimed".to_owned(), reply.freed_bytes.to_string())],
        );
        Ok(reply)
    }

    fn removed(&self, id: &str, steps: Vec<Removed>) -> proto::RemoveImageReply {
        let mut reply = proto::RemoveImageReply::default();
        for step in steps {
            match step {
                Removed::Untagged(name) => {
                    self.emit_image("untag", if id.is_empty() { &name } else { id }, &name);
                    reply.untagged.push(name);
                }
                Removed::Deleted(digest) => {
                    let digest = digest.to_string();
                    if id.is_empty() || digest == id {
                        self.emit_image("delete", &digest, &digest);
                    }
                    reply.deleted.push(digest);
                }
            }
        }
        reply
    }

    fn image_use(&self, id: &Digest) -> Option<ImageUse> {
        let id = id.to_string();
        let all = self.containers.all();
        let mut users: Vec<_> = all.iter().filter(|c| c.definition().image_id == id).collect();
        users.sort_by_key(|c| !c.status().has_process());
        let first = users.first()?;
        Some(ImageUse {
            container: first.id.clone(),
            running: first.status().has_process(),
        })
    }

    pub(super) fn emit_image(&self, action: &str, id: &str, name: &str) {
        self.events
            .emit("image", action, id, [("name".to_owned(), name.to_owned())]);
    }
}

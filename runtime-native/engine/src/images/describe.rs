//! An image as the contract shows it.

use creel_image::{Image, ImageDetail};

use crate::clock::parse_rfc3339;
use crate::proto;

/// The part of an image's configuration that containers take over.
pub(super) fn config(image: &Image) -> proto::ImageConfig {
    let config = &image.config.config;
    proto::ImageConfig {
        user: config.user.clone(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone().unwrap_or_default(),
        cmd: config.cmd.clone().unwrap_or_default(),
        working_dir: config.working_dir.clone(),
        exposed_ports: config.exposed_ports.keys().cloned().collect(),
        volumes: config.volumes.keys().cloned().collect(),
        labels: config.labels.clone().into_iter().collect(),
        stop_signal: config.stop_signal.clone(),
        shell: config.shell.clone().unwrap_or_default(),
        healthcheck: config.healthcheck.as_ref().map(|check| proto::Healthcheck {
            test: check.test.clone(),
            interval_nanos: check.interval,
            timeout_nanos: check.timeout,
            start_period_nanos: check.start_period,
            start_interval_nanos: check.start_interval,
            retries: check.retries as i32,
        }),
        on_build: config.on_build.clone(),
    }
}

/// Everything about an image; `containers` use it.
pub fn describe(detail: &ImageDetail, containers: i64) -> proto::Image {
    let image = &detail.image;
    let config = &image.config;
    let created = |text: &Option<String>| text.as_deref().and_then(parse_rfc3339).unwrap_or(0);
    proto::Image {
        id: image.id.to_string(),
        repo_tags: detail.repo_tags.clone(),
        repo_digests: detail.repo_digests.clone(),
        parent: image
            .record
            .parent
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        created_nanos: created(&config.created),
        size: image.record.size as i64,
        architecture: config.architecture.clone(),
        variant: config.variant.clone().unwrap_or_default(),
        os: config.os.clone(),
        author: config.author.clone().unwrap_or_default(),
        comment: config.comment.clone().unwrap_or_default(),
        config: Some(self::config(image)),
        diff_ids: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        containers,
        history: config
            .history
            .iter()
            .map(|step| proto::ImageHistory {
                created_nanos: created(&step.created),
                created_by: step.created_by.clone().unwrap_or_default(),
                author: step.author.clone().unwrap_or_default(),
                comment: step.comment.clone().unwrap_or_default(),
                empty_layer: step.empty_layer,
                size: 0,
            })
            .collect(),
        labels: config.config.labels.clone().into_iter().collect(),
        ..proto::Image::default()
    }
}

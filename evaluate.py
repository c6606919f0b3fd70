#!/usr/bin/env python3
"""Measure the mean IoU of a checkpoint on pictures with masks, as the VOC devkit counts it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import deeplab_lfov as lfov
from deeplab_lfov import cli, flags
from deeplab_lfov.evaluate_flags import check_modes, parser


def main(args: argparse.Namespace) -> None:
    """Network, then one of three: masks for the test server, a search for a CRF, or the metric."""
    cluster = lfov.cluster.find_cluster()
    check_modes(args, alone=len(cluster.workers) == 1)
    cli.start_tensorflow(alone=len(cluster.workers) == 1)
    replicas = _connected(args, cluster)
    options = flags.prediction_options(args)
    center = options.pop("crf") if args.crf_search else None
    predictor = lfov.Predictor(args.restore_from, **options)
    if args.class_names:
        names = lfov.data_list.read_class_names(args.class_names, predictor.model.num_classes)
        predictor.class_names = names
    if args.voc_submission:
        _submit(args, predictor, replicas)
    elif args.crf_search:
        _search(args, predictor, center, replicas)
    else:
        _measure(args, predictor, replicas)


def _connected(
    args: argparse.Namespace, cluster: lfov.cluster.Cluster
) -> lfov.distribution.Replicas:
    """The workers that share the list, after a look at what a user may have mistyped."""
    replicas = lfov.distribution.Replicas(cluster, lfov.devices.first_device())
    if replicas.num_workers > 1:
        tensors = lfov.weight_files.read_tensors(args.restore_from)
        samples = lfov.data_list.read_list(args.data_dir, args.data_list)[: args.num_steps]
        names = [sample.image.name for sample in samples]
        replicas.connect(lfov.settings.fingerprint(lfov.settings.as_stored(args), names, tensors))
    return replicas


def _measure(
    args: argparse.Namespace, predictor: lfov.Predictor, replicas: lfov.distribution.Replicas
) -> None:
    """Print the mean IoU, and write the numbers, the masks and the report that were asked for."""
    reader, samples = _reader(args, predictor, replicas)
    masks = replicas.share(_mask_paths(args.save_dir, samples))
    if args.json:
        lfov.files.writable_json(args.json, "mean_iou")
    evaluation = lfov.evaluation.Evaluation(predictor.class_names, args.trimap, args.report)
    if replicas.is_chief:
        _print_plan(args, f"{len(samples)} pictures with masks", predictor, str(replicas))

    def finish(picture: tuple, segmentation: lfov.segmentation.Segmentation, mask: Path) -> float:
        (sample, _, truth), prediction = picture, segmentation.labels()
        evaluation.add(sample, truth, prediction)
        if mask:
            lfov.pictures.write_mask(mask, prediction)
        return evaluation.matrix.mean_iou

    pictures = zip(reader.pictures(), masks, strict=True)
    calls = (partial(finish, p, predictor.segment(p[1]), mask) for p, mask in pictures)
    seconds = _run(calls, len(masks), replicas)
    evaluation.gather(samples, replicas)
    if not replicas.is_chief:
        return
    print(f"\n{evaluation}\n\n{len(samples)} pictures in {seconds:.1f} s")
    if evaluation.report:
        facts = _facts(args, predictor, len(samples))
        page = evaluation.report.write(evaluation.matrix, facts, evaluation.trimap)
        print(f"report   {page}")
    if args.json:
        numbers = evaluation.as_dict() | {"num_images": len(samples), "seconds": seconds}
        with lfov.files.whole_file(args.json) as partial_file:
            partial_file.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def _search(
    args: argparse.Namespace,
    predictor: lfov.Predictor,
    center: lfov.crf.DenseCRF,
    replicas: lfov.distribution.Replicas,
) -> None:
    """Print the mean IoU of the CRFs around the one that the flags describe, and the best."""
    reader, samples = _reader(args, predictor, replicas)
    search = lfov.crf_search.CRFSearch(center, args.crf_search, predictor.class_names)
    if replicas.is_chief:
        _print_plan(args, f"{len(samples)} pictures with masks", predictor, str(replicas))
        print(f"search   {len(search.matrices)} CRFs around {center}")

    def finish(picture: tuple, segmentation: lfov.segmentation.Segmentation) -> float:
        _, image, truth = picture
        search.update(image, truth, segmentation.probabilities())
        return search.matrices[search.best].mean_iou

    calls = (partial(finish, p, predictor.segment(p[1])) for p in reader.pictures())
    seconds = _run(calls, len(reader.samples), replicas)
    for matrix in (search.without, *search.matrices.values()):
        matrix.counts = replicas.sum(matrix.counts)
    if replicas.is_chief:
        print(f"\n{search}\n{len(samples)} pictures in {seconds:.1f} s; {search.verdict()}")


def _submit(
    args: argparse.Namespace, predictor: lfov.Predictor, replicas: lfov.distribution.Replicas
) -> None:
    """Write the archive for VOC's test server."""
    if predictor.model.num_classes != len(lfov.CLASS_NAMES):
        raise lfov.UserError(
            f"VOC's test server knows {len(lfov.CLASS_NAMES)} classes and "
            f"{args.restore_from} has {predictor.model.num_classes}"
        )
    samples = lfov.data_list.read_list(args.data_dir, args.data_list, masks=False)
    samples = samples[: args.num_steps]
    lfov.submission.check_ids(sample.name for sample in samples)
    _check_sizes(args, predictor, samples)
    masks = _mask_paths(args.save_dir, samples)
    submission = lfov.submission.VocSubmission(args.voc_submission)
    _print_plan(args, f"{len(samples)} pictures", predictor, str(replicas))

    def finish(name: str, segmentation: lfov.segmentation.Segmentation, mask: Path) -> None:
        labels = segmentation.labels()
        submission.add(name, labels)
        if mask:
            lfov.pictures.write_mask(mask, labels)

    with submission:
        images = (lfov.pictures.read_image(sample.image) for sample in samples)
        work = zip(samples, images, masks, strict=True)
        seconds = _run(
            (partial(finish, s.name, predictor.segment(image), mask) for s, image, mask in work),
            len(samples),
            replicas,
        )
    print(f"{len(samples)} masks in {args.voc_submission} in {seconds:.1f} s")


def _run(
    calls: Iterable[Callable[[], float | None]],
    num_images: int,
    replicas: lfov.distribution.Replicas,
) -> float:
    """Finish every picture while the network is at the next; returns the seconds it took.

    Of several workers each finishes its share, and only the chief shows how far it is.
    """
    start, show = time.perf_counter(), replicas.is_chief
    results = lfov.pipeline.one_behind(calls)
    with (
        replicas.watching() as check_others,
        cli.progress(results, num_images, "pictures", show=show) as bar,
    ):
        for mean_iou in bar:
            check_others()
            if mean_iou is not None:
                bar.set_postfix_str(f"mean IoU {mean_iou:.4f}", refresh=False)
    return time.perf_counter() - start


def _reader(
    args: argparse.Namespace, predictor: lfov.Predictor, replicas: lfov.distribution.Replicas
) -> tuple[lfov.ImageReader, list[lfov.data_list.Sample]]:
    """The samples that are wanted, and a reader of this worker's share of them."""
    reader = lfov.ImageReader(
        args.data_dir,
        args.data_list,
        num_classes=predictor.model.num_classes,
        ignore_label=args.ignore_label,
        palette=lfov.palette.read_palette(args.palette),
    )
    samples = reader.samples[: args.num_steps]
    _check_sizes(args, predictor, samples)
    reader.samples = replicas.share(samples)
    return reader, samples


def _check_sizes(
    args: argparse.Namespace, predictor: lfov.Predictor, samples: list[lfov.data_list.Sample]
) -> None:
    """Raise UserError for a picture that is larger than what pictures are padded to."""
    for sample in samples if args.input_size else ():
        try:
            predictor.check_size(*lfov.pictures.image_size(sample.image))
        except lfov.UserError as error:
            raise lfov.UserError(f"{sample.image}: {error}") from error


def _mask_paths(save_dir: str | None, samples: list[lfov.data_list.Sample]) -> list[Path | None]:
    if save_dir is None:
        return [None] * len(samples)
    folder = lfov.files.writable_folder(save_dir)
    stems = lfov.files.distinct_stems(sample.image for sample in samples)
    paths = [folder / f"{stem}.png" for stem in stems]
    for path in paths:
        lfov.pictures.check_replaceable(path)
    return paths


def _print_plan(
    args: argparse.Namespace, pictures: str, predictor: lfov.Predictor, device: str
) -> None:
    print(f"data     {pictures} in {args.data_list}")
    print(f"network  {predictor.model}, from {lfov.weight_files.locate(args.restore_from)}")
    if str(predictor):
        print(f"views    {predictor}")
    print(f"device   {device}")


def _facts(args: argparse.Namespace, predictor: lfov.Predictor, num_images: int) -> dict[str, str]:
    """What the report says of where its numbers come from."""
    return {
        "checkpoint": str(lfov.weight_files.locate(args.restore_from)),
        "network": str(predictor.model),
        "list": args.data_list,
        "pictures": str(num_images),
        "test time": str(predictor) or "one view of each picture",
    }


if __name__ == "__main__":
    cli.run(main, parser())

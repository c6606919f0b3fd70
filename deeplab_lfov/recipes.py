"""Recipes: sets of defaults for train.py's flags by name, each from a publication."""

RECIPES = {
    "adam": {  # the first TensorFlow version
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "lr_policy": "fixed",
        "num_steps": 20000,
        "batch_size": 16,
        "weight_decay": 0.0,
        "head_lr_mult": 1.0,
        "bias_lr_mult": 1.0,
        "random_mirror": False,
    },
    "step": {  # arXiv 1412.7062, section 4, and its release's train.prototxt
        "optimizer": "sgd",
        "learning_rate": 1e-3,
        "lr_policy": "step",
        "num_steps": 6000,
        "batch_size": 30,
        "weight_decay": 5e-4,
        "head_lr_mult": 10.0,
        "bias_lr_mult": 2.0,
        "random_mirror": True,
    },
}
RECIPES["poly"] = RECIPES["step"] | {  # arXiv 1606.00915, section 4.1
    "lr_policy": "poly",
    "num_steps": 20000,
    "batch_size": 10,
}

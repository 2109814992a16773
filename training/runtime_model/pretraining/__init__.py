"""Steps of pretraining: samples laid out once, derivatives in closed form, one network in training."""

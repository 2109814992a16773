"""Calls about models that are served, as methods of both clients."""

from app.client import serving_calls
from app.client.methods import AsyncIterated, Awaited, Iterated, Sent
from app.client.serving_answers import PredictionRecord, ServedModel


class ServingMethods:
    """Of the client that waits."""

    predict = Sent(serving_calls.predict)
    predict_many = Sent(serving_calls.predict_many)
    give_feedback = Sent(serving_calls.give_feedback)
    predictions = Sent(serving_calls.predictions)
    prediction_file = Sent(serving_calls.prediction_file)
    served_models = Sent(serving_calls.served_models)
    served_model = Sent(serving_calls.served_model)
    serve_model = Sent(serving_calls.serve_model)
    end_serving = Sent(serving_calls.end_serving)
    publish_folder = Sent(serving_calls.publish_folder)
    answer_file = Sent(serving_calls.answer_file)
    ask_latest = Sent(serving_calls.ask_latest)
    ask_default = Sent(serving_calls.ask_default)
    classify_digit = Sent(serving_calls.classify_digit)
    say_whether_right = Sent(serving_calls.say_whether_right)

    iterate_predictions = Iterated(serving_calls.predictions, PredictionRecord)
    iterate_served_models = Iterated(serving_calls.served_models, ServedModel)


class AsyncServingMethods:
    """Of the client for asyncio."""

    predict = Awaited(serving_calls.predict)
    predict_many = Awaited(serving_calls.predict_many)
    give_feedback = Awaited(serving_calls.give_feedback)
    predictions = Awaited(serving_calls.predictions)
    prediction_file = Awaited(serving_calls.prediction_file)
    served_models = Awaited(serving_calls.served_models)
    served_model = Awaited(serving_calls.served_model)
    serve_model = Awaited(serving_calls.serve_model)
    end_serving = Awaited(serving_calls.end_serving)
    publish_folder = Awaited(serving_calls.publish_folder)
    answer_file = Awaited(serving_calls.answer_file)
    ask_latest = Awaited(serving_calls.ask_latest)
    ask_default = Awaited(serving_calls.ask_default)
    classify_digit = Awaited(serving_calls.classify_digit)
    say_whether_right = Awaited(serving_calls.say_whether_right)

    iterate_predictions = AsyncIterated(serving_calls.predictions, PredictionRecord)
    iterate_served_models = AsyncIterated(serving_calls.served_models, ServedModel)
